"""Layers a mask empties, units it cuts off, and the weights that still connect input and output."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from thresher.analysis.reachability import SignalFlow
from thresher.analysis.signals import Signals
from thresher.core.errors import ArgumentError
from thresher.core.example import example_input
from thresher.core.mask import Mask
from thresher.core.untouched import call_with, untouched


@dataclass(frozen=True)
class Collapse:
    """What is left of a network under a mask; made by `collapse`.

    `units_without_input` and `units_without_output` map a masked weight's name to the indices of its output
    units (rows, channels, gate rows) that no signal enters, or whose signal enters nothing that is read.
    `notes` says what could not be followed exactly.
    """

    kept: int
    total: int
    effective: Mask
    collapsed_layers: tuple[str, ...]
    units_without_input: dict[str, tuple[int, ...]]
    units_without_output: dict[str, tuple[int, ...]]
    disconnected: bool
    notes: tuple[str, ...]

    @property
    def effective_kept(self) -> int:
        """Kept weights that lie on some path from input to output."""
        return self.effective.kept

    @property
    def effective_sparsity(self) -> float:
        """Fraction of all masked weights that lie on no such path, removed or kept in vain; in [0, 1]."""
        return self.effective.sparsity

    def describe(self) -> str:
        """One line: whether it is connected, how much of the mask works, which layers are empty."""
        parts = ["disconnected: no path from input to output" if self.disconnected else "connected"]
        parts.append(
            f"{self.effective_kept} of {self.kept} kept weights effective "
            f"(sparsity {1 - self.kept / self.total if self.total else 0.0:.4f}, "
            f"effective {self.effective_sparsity:.4f})"
        )
        if self.collapsed_layers:
            parts.append(f"empty layers: {', '.join(self.collapsed_layers)}")
        for units, what in ((self.units_without_input, "input"), (self.units_without_output, "output")):
            if count := sum(map(len, units.values())):
                parts.append(f"{count} units without {what}")
        return "; ".join([*parts, *self.notes])


def collapse(model: nn.Module, mask: Mask, example: Tensor | None = None) -> Collapse:
    """What `mask` leaves of `model`: empty layers, units cut off, and the kept weights on input→output paths.

    A path goes through kept weights; parameters outside the mask are all present. Exactly Boolean, at any depth,
    for the functions in `flow_table`; the readings chosen:

    - Biases (and other constants that are added) are no input: a unit fed by its bias alone has none, and the
      weights that leave it are not effective. A masked bias is effective where its unit is on a path.
    - Activations and normalisations pass each element on, maxima count as sums, `detach` does not cut.
    - A product of activations is alive where all factors are; a factor out of sigmoid or softmax is never 0, so
      that signal passes a gate, or attention, whose own input is gone. Weights of queries and keys are effective
      where both are alive and a value they mix is read.
    - Recurrent layers: a hidden unit has signal if any of its gates has (see `recurrent`).
    - A look-up may ask for every row. Attention masks and other data-dependent choices are taken as in this run.

    A change in place through a view is seen in the view only. What has no rule connects everything with
    everything and is named in the notes. The first tensor the model returns is its output.

    `example` is a batch shaped as the model takes it; values do not matter (see `core.example_input`). Raises
    MaskMismatchError if `mask` is for another model, ArgumentError if the input shape cannot be told or the
    output cannot be followed back to the input (TorchScript or custom C++ between them). The model is as it was
    afterwards.
    Cost: one forward and one backward pass for one example.

    Source: layer collapse is Tanaka et al. (2020), effective sparsity Vysogorets and Kempe (2023); counted here by
    Boolean reachability, not by path sums in floating point.

    >>> net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1))
    >>> first = torch.tensor([[True, True], [False, False]])
    >>> found = collapse(net, Mask({"0.weight": first, "2.weight": torch.tensor([[False, True]])}))
    >>> found.disconnected, found.units_without_input, found.units_without_output["0.weight"]
    (True, {'0.weight': (1,), '2.weight': (0,)}, (0,))
    """
    # whatever mode the caller is in, the answer is a gradient
    with torch.inference_mode(False), torch.enable_grad(), untouched(model, training=False):
        return _traced(model, mask, example_input(model, example))


def _traced(model: nn.Module, mask: Mask, example: Tensor) -> Collapse:
    masked = mask.parameters_of(model)
    shared: dict[int, Tensor] = {}  # one leaf for a tensor that has two names
    for name, parameter in masked.items():
        shared.setdefault(id(parameter), mask[name].to(parameter.device, torch.float32).requires_grad_())
    leaves = {name: shared[id(parameter)] for name, parameter in masked.items()}
    present = {
        name: shared[id(p)] if id(p) in shared else torch.ones_like(p, dtype=torch.float32, requires_grad=False)
        for name, p in model.named_parameters()
    }
    signals = Signals(leaves)
    ones = torch.ones(example.shape, dtype=torch.float32, device=example.device)
    inputs = signals.emit(ones, handle=ones if example.is_floating_point() else torch.ones_like(example))
    with SignalFlow(signals):
        output = signals.find(call_with(model, present, inputs))
    if output is None:
        raise ArgumentError(
            f"the output of {type(model).__name__} could not be followed back to its input: a function that "
            "PyTorch does not let be overridden (TorchScript, custom C++) lies between them"
        )
    return Collapse(
        kept=mask.kept,
        total=mask.total,
        effective=_effective(mask, leaves, output.level),
        collapsed_layers=tuple(name for name, kept in mask.counts.items() if not kept and mask[name].numel()),
        units_without_input=_without(signals.with_input),
        units_without_output=_without(signals.with_output),
        disconnected=not bool(output.level.any()),
        notes=tuple(signals.notes),
    )


def _effective(mask: Mask, leaves: dict[str, Tensor], level: Tensor) -> Mask:
    if not level.requires_grad:
        return Mask({name: torch.zeros_like(keep) for name, keep in mask.items()})
    gradients = torch.autograd.grad(level.sum(), list(leaves.values()), allow_unused=True)
    return Mask(
        {
            name: torch.zeros_like(keep) if gradient is None else keep & (gradient != 0).to(keep.device)
            for (name, keep), gradient in zip(mask.items(), gradients, strict=True)
        }
    )


def _without(seen: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple((~units).nonzero().flatten().tolist()) for name, units in seen.items()}
