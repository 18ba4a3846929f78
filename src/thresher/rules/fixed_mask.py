"""Fixed mask: the dense simulation of a sparse network."""

from typing import Literal

import torch
from torch import Tensor, nn

from thresher.core.errors import ArgumentError
from thresher.core.mask import Mask
from thresher.ops.keep_bits import KeepBits

Holding = Literal["prune", "freeze", "straight-through"]


class FixedMask:
    """Holds a mask while any torch optimizer trains a plain dense model.

    holding: what becomes of the removed weights (research notes, equations 1 to 3).
        "prune": forward and backward. They are zero, and so are their slots in the optimizer's state: masked
            gradients alone would let momentum and weight decay revive them.
        "freeze": backward only. They keep the value they had at `start`; the others train.
        "straight-through": forward only. They act as zero, but get the gradient of the masked network and train on
            out of sight; only the forward pass is sparse. The mask stays as given.

    The model stays a plain model: no parameter is replaced and no key renamed. For "prune" and "freeze" the
    gradients of removed weights are zeroed as soon as they are there, so that gradient clipping and optimizers
    that look at whole tensors see the sparse network alone. Weight decay acts on what the optimizer sees.
    A weight tied under several names is held once, and removed where any of its masks says so.
    Cost, every step: a masked write of each gradient, and a read of each weight and each slot of the optimizer's
    state, with a write only where something removed has moved; "freeze" reads the weights' values at `start` too.
    "straight-through" writes each weight once, and needs memory for it twice.

    Source: Ross (2022), Sparse Networks and Differential Privacy, section 1.

    >>> _ = torch.manual_seed(0)
    >>> net = nn.Linear(2, 1, bias=False)
    >>> keep = FixedMask(Mask({"weight": torch.tensor([[True, False]])}))
    >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    >>> keep.start(net, optimizer)
    >>> net(torch.ones(1, 2)).sum().backward(); optimizer.step(); keep.after_step()
    >>> net.weight[0, 1].item()
    0.0
    """

    def __init__(self, mask: Mask, holding: Holding = "prune") -> None:
        if holding not in ("prune", "freeze", "straight-through"):
            raise ArgumentError(f"holding is 'prune', 'freeze' or 'straight-through': got {holding!r}")
        self.mask = mask
        self.holding = holding
        self._masked: list[tuple[nn.Parameter, KeepBits]] = []
        self._held: list[Tensor] = []
        self._seen: list[Tensor] = []
        self._restored: list[Tensor] | None = None
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []
        self._optimizer: torch.optim.Optimizer | None = None
        self._unmasked = False

    def start(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Apply the mask to `model` and watch over `optimizer` from now on.

        Raises MaskMismatchError if the mask is for another model, ArgumentError if the optimizer is. Starting again
        moves the rule to the new pair.
        """
        parameters = self.mask.parameters_of(model)
        watched = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if parameters and not any(id(p) in watched for p in parameters.values()):
            raise ArgumentError(
                f"the optimizer updates none of the masked parameters ({', '.join(parameters)}): pass the one that "
                "trains this model"
            )
        for hook in self._hooks:
            hook.remove()
        kept: dict[nn.Parameter, Tensor] = {}
        for name, p in parameters.items():
            mask = self.mask[name].to(p.device)
            kept[p] = kept[p] & mask if p in kept else mask
        self._masked = [(p, KeepBits(mask)) for p, mask in kept.items()]
        self._optimizer = optimizer
        self._unmasked = False
        self._held = [] if self.holding == "prune" else [p.detach().clone() for p in kept]
        if self._restored is not None:
            for own, restored in zip(self._held, self._restored, strict=True):
                own.copy_(restored)
            self._restored = None
        if self.holding == "straight-through":
            self._seen = [p.detach() for p in kept]
            self._hooks = [optimizer.register_step_pre_hook(self._unmask)]
        else:
            self._hooks = [
                p.register_post_accumulate_grad_hook(_MaskGradient(keep))  # type: ignore[no-untyped-call]
                for p, keep in self._masked
                if p.requires_grad
            ]
        self.after_step()

    def after_step(self) -> None:
        """Put the removed weights, and their optimizer state, back to what the holding says."""
        if self._optimizer is None:
            raise ArgumentError("call start(model, optimizer) before the first step")
        # last to first: what the optimizer touched last is in the cache still, and the next forward begins at the first
        for i in reversed(range(len(self._masked))):
            parameter, keep = self._masked[i]
            if self.holding == "straight-through" and self._unmasked:
                keep.write_kept_(self._seen[i], self._held[i])
                parameter.data = self._seen[i]
            elif self.holding == "straight-through":  # the step was skipped, as loss scaling does
                keep.zero_removed_(parameter)
            else:
                # decay of frozen weights, gradients set by hand and steps before `start` get there past the hooks
                moved = [
                    slot
                    for slot in self._optimizer.state.get(parameter, {}).values()
                    if isinstance(slot, Tensor) and slot.shape == keep.shape
                ]
                if self.holding == "freeze":
                    keep.restore_removed_(parameter, self._held[i])
                else:
                    moved.append(parameter)
                keep.zero_removed_(*moved)
        self._unmasked = False

    def state_dict(self) -> dict[str, list[Tensor]]:
        """What the model and the optimizer do not hold themselves: the dense weights of "straight-through"."""
        return {"held": self._held}

    def load_state_dict(self, state: dict[str, list[Tensor]]) -> None:
        """Go on from `state_dict()` at the next `start`, which gets the restored model and optimizer."""
        self._restored = state["held"]

    def _unmask(self, *_arguments: object) -> None:
        """Before a step: the optimizer moves the dense weights, with the gradient found at the masked ones."""
        for (parameter, _), dense in zip(self._masked, self._held, strict=True):
            parameter.data = dense
        self._unmasked = True


class _MaskGradient:
    """Zeroes the gradient of removed weights, infinities and NaN among them too."""

    def __init__(self, keep: KeepBits) -> None:
        self._keep = keep

    def __call__(self, parameter: Tensor) -> None:
        if parameter.grad is not None:
            self._keep.zero_removed_(parameter.grad)
