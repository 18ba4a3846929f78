"""Where the input's signal is in a running model, as 0/1 levels whose gradients are 0/1 too."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from thresher.analysis.tracing import origin, tensors_in


class Saturate(torch.autograd.Function):
    """1 where `x` is not 0, else 0; the gradient likewise. However deep the network, nothing under- or overflows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return (x != 0).to(torch.float32)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return (gradients[0] != 0).to(torch.float32)


@dataclass(frozen=True)
class Signal:
    """The 0/1 `level` of the tensor `handle` that the model's code holds.

    A `gate` is never zero even without signal: what sigmoid and softmax return.
    """

    handle: Tensor
    level: Tensor
    gate: bool


class Signals:
    """The signals of one run, the masked parameters (`leaves`, 0/1) it meets, and what was seen at their units."""

    def __init__(self, leaves: Mapping[str, Tensor]) -> None:
        self._by_id: dict[int, Signal] = {}  # holds the handles, so that no id is given twice
        self._names = {id(leaf): name for name, leaf in leaves.items()}
        self.with_input: dict[str, Tensor] = {}
        self.with_output: dict[str, Tensor] = {}
        self.notes: dict[str, None] = {}

    def find(self, tensor: object) -> Signal | None:
        """The signal of `tensor`, or None for a constant."""
        return self._by_id.get(id(tensor))

    def among(self, value: object) -> list[Signal]:
        """The signals among the tensors in `value`."""
        return [signal for t in tensors_in(value) if (signal := self.find(t)) is not None]

    def emit(self, level: Tensor, gate: bool = False, handle: Tensor | None = None) -> Tensor:
        """The tensor to hand to the model's code for `level`: a new one, or `handle` if it was changed in place."""
        level = Saturate.apply(level)  # type: ignore[no-untyped-call]
        handle = level if handle is None else handle
        self._by_id[id(handle)] = Signal(handle, level, gate)
        return handle

    def level(self, tensor: Tensor) -> Tensor:
        """0/1: where `tensor` carries signal; a constant carries none."""
        signal = self.find(tensor)
        if signal is not None:
            return signal.level
        return torch.zeros(tensor.shape, dtype=torch.float32, device=tensor.device)

    def factor(self, tensor: Tensor) -> Tensor:
        """0/1: where a factor lets signal through, which a constant does where it is not 0."""
        signal = self.find(tensor)
        if signal is not None:
            return signal.level
        self._note_derived(tensor)
        present: Tensor = Saturate.apply(tensor)  # type: ignore[no-untyped-call]
        return present

    def shifted(self, level: Tensor, *constants: Tensor | None) -> Tensor:
        """`level` with constants added: no signal comes in, and each meets the gradient where signal passes it."""
        for constant in constants:
            if constant is not None and constant.requires_grad:
                self._note_derived(constant)
                level = level * opened(constant)
        return level

    def tap(self, weight: Tensor, output: Tensor, dim: int, by_rows: bool) -> None:
        """Remember which units (entries along `dim` of `output`) have input, and later which reach the output.

        With `by_rows` a unit is a row of the parameter, and `weight` may be some of its rows.
        """
        parameter = origin(weight)
        name = self._names.get(id(parameter))
        if name is None:
            return
        count = output.shape[dim]
        start, units = 0, count
        if by_rows and weight.stride() == parameter.stride() and parameter.stride(0):
            start = (weight.storage_offset() - parameter.storage_offset()) // parameter.stride(0)
            units = parameter.shape[0]
        for seen in (self.with_input, self.with_output):
            seen.setdefault(name, torch.zeros(units, dtype=torch.bool, device=output.device))
        others = [d for d in range(output.dim()) if d != dim % output.dim()]

        def mark(seen: dict[str, Tensor], values: Tensor) -> None:
            seen[name][start : start + count] |= (values.detach() != 0).sum(others) > 0 if others else values != 0

        mark(self.with_input, output)
        if output.requires_grad:
            output.register_hook(  # type: ignore[no-untyped-call]
                lambda gradient: mark(self.with_output, gradient)
            )

    def _note_derived(self, constant: Tensor) -> None:
        if constant.requires_grad and id(origin(constant)) not in self._names:
            self.notes["a constant computed from masked weights, or by a call out of sight, was taken as it is"] = None


def opened(factor: Tensor) -> Tensor:
    """Ones shaped like `factor` through which it still gets its gradient."""
    return factor + (1 - factor).detach()
