"""How signal passes products: weights, convolutions, matrix products, gates."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from thresher.analysis.signals import Signals, opened
from thresher.analysis.tracing import OPERANDS, TorchFunction, ordered


def product(signals: Signals, factors: Sequence[Tensor], multiply: Callable[..., Tensor]) -> Tensor:
    """The level of `multiply(*factors)`, any function linear in each factor: alive where every factor is.

    Two exceptions. A constant lets signal through where it is not 0. A gate (sigmoid, softmax) is never 0, so
    signal passes it even where the gate itself has lost its input; between gates any one that is alive is enough.
    """
    levels = [signals.factor(factor) for factor in factors]
    found = [signals.find(factor) for factor in factors]
    gates = [i for i, signal in enumerate(found) if signal is not None and signal.gate]
    if any(signal is not None and not signal.gate for signal in found):
        return multiply(*(opened(level) if i in gates else level for i, level in enumerate(levels)))
    terms = [
        multiply(*(opened(level) if i in gates and i != own else level for i, level in enumerate(levels)))
        for own in gates
    ]
    return torch.stack(terms).sum(0)


def contraction(
    signals: Signals, func: TorchFunction, name: str, args: Sequence[Any], kwargs: dict[str, Any]
) -> Tensor:
    """The level of a linear map, convolution or matrix product; units of masked weights are tapped."""
    operands, rest = ordered(OPERANDS[name], args, kwargs)
    if name in ("addmm", "addmv", "baddbmm", "addbmm"):
        bias, *factors = operands[:3]
        level = product(signals, factors, torch.matmul)
        _tap_matrix(signals, factors, level)
        level = (level.sum(0) if name == "addbmm" else level) + signals.level(bias)
        return level if signals.find(bias) else signals.shifted(level, bias)
    if OPERANDS[name][-1] != "bias":
        level = product(signals, operands[:2], lambda *levels: func(*levels, *operands[2:], **rest))
        if name != "tensordot":
            _tap_matrix(signals, operands[:2], level)
        return level
    arity = len(OPERANDS[name]) - 1
    factors, bias, options = operands[:arity], operands[arity], operands[arity + 1 :]
    spatial = int(name[-2]) if name.startswith("conv") else 0
    level = product(signals, factors, lambda *levels: func(*levels, None, *options, **rest))
    signals.tap(factors[-1], level, -1 - spatial, by_rows="transpose" not in name)
    return level if bias is None else signals.shifted(level, bias.reshape(-1, *[1] * spatial))


def einsum(signals: Signals, equation: str, operands: Sequence[Tensor]) -> Tensor:
    """The level of an einsum; its weights get effective entries but, having no fixed output side, no units."""
    return product(signals, operands, lambda *levels: torch.einsum(equation, *levels))


def elementwise(signals: Signals, operands: Sequence[Any]) -> tuple[Tensor, bool]:
    """The level of a product or quotient, number or tensor each, and whether it is a gate again."""
    numbers = [operand for operand in operands if not isinstance(operand, Tensor)]
    tensors = [operand for operand in operands if isinstance(operand, Tensor)]
    level = product(signals, tensors, torch.mul) if len(tensors) == 2 else signals.level(tensors[0])
    if any(number == 0 for number in numbers):
        level = level * 0
    return level, all(signal.gate for signal in signals.among(tensors))


def _tap_matrix(signals: Signals, factors: Sequence[Tensor], level: Tensor) -> None:
    left, right = factors
    if signals.find(right) is None and right.dim() > 1:
        signals.tap(right, level, -1, by_rows=False)
    if signals.find(left) is None and left.dim() > 1:
        signals.tap(left, level, -2 if right.dim() > 1 else -1, by_rows=True)
