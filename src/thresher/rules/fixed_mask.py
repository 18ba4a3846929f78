"""Fixed mask: the dense simulation of a sparse network."""

from typing import Literal

import torch
from torch import Tensor, nn

from thresher.core.errors import ArgumentError
from thresher.core.keep_bits import KeepBits
from thresher.core.mask import Mask

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
    Cost: a masked write per masked tensor for gradient, weight and each slot of the optimizer's state, every step.

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
        self._restored: list[Tensor] | None = None
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []
        self._optimizer: torch.optim.Optimizer | None = None
        self._unmasked = False

    @torch.no_grad()
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
        self._masked = [(p, KeepBits(self.mask[name].to(p.device))) for name, p in parameters.items()]
        self._optimizer = optimizer
        self._unmasked = False
        self._held = [] if self.holding == "prune" else [p.detach().clone() for p, _ in self._masked]
        if self._restored is not None:
            for own, restored in zip(self._held, self._restored, strict=True):
                own.copy_(restored)
            self._restored = None
        if self.holding == "straight-through":
            self._hooks = [optimizer.register_step_pre_hook(self._unmask)]
        else:
            self._hooks = [
                parameter.register_post_accumulate_grad_hook(_MaskGradient(keep))  # type: ignore[no-untyped-call]
                for parameter, keep in self._masked
                if parameter.requires_grad
            ]
        self._hold()

    @torch.no_grad()
    def after_step(self) -> None:
        """Put the removed weights, and their optimizer state, back to what the holding says."""
        if self._optimizer is None:
            raise ArgumentError("call start(model, optimizer) before the first step")
        if self._unmasked:  # not so if the step was skipped, as loss scaling does: the parameters are masked still
            for (parameter, _), dense in zip(self._masked, self._held, strict=True):
                dense.copy_(parameter)
            self._unmasked = False
        self._hold()

    def _hold(self) -> None:
        if self.holding == "freeze":
            for (parameter, keep), initial in zip(self._masked, self._held, strict=True):
                keep.restore_removed_(parameter, initial)
        else:
            for parameter, keep in self._masked:
                keep.zero_removed_(parameter)
        if self.holding != "straight-through" and self._optimizer is not None:
            # decay of frozen weights, gradients set by hand and steps before `start` get there past the hooks
            for parameter, keep in self._masked:
                for slot in self._optimizer.state.get(parameter, {}).values():
                    if isinstance(slot, Tensor) and slot.shape == keep.shape:
                        keep.zero_removed_(slot)

    def state_dict(self) -> dict[str, list[Tensor]]:
        """What the model and the optimizer do not hold themselves: the dense weights of "straight-through"."""
        return {"held": self._held}

    def load_state_dict(self, state: dict[str, list[Tensor]]) -> None:
        """Go on from `state_dict()` at the next `start`, which gets the restored model and optimizer."""
        self._restored = state["held"]

    @torch.no_grad()
    def _unmask(self, *_arguments: object) -> None:
        """Before a step: the optimizer moves the dense weights, with the gradient found at the masked ones."""
        for (parameter, _), dense in zip(self._masked, self._held, strict=True):
            parameter.copy_(dense)
        self._unmasked = True


class _MaskGradient:
    """Zeroes the gradient of removed weights, infinities and NaN among them too."""

    def __init__(self, keep: KeepBits) -> None:
        self._keep = keep

    def __call__(self, parameter: Tensor) -> None:
        if parameter.grad is not None:
            self._keep.zero_removed_(parameter.grad)
