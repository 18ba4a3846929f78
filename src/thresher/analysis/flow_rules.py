"""How signal passes functions: one rule per kind.

A rule returns the levels of the function's results (indices and the like as they are) and whether they are
gates. Activations, normalisations and casts pass each element on; sums are alive where a term is; moves of
elements, sums over them and averages run on the levels as they are; products have a file of their own.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from thresher.analysis import products
from thresher.analysis.signals import Signals
from thresher.analysis.tracing import TorchFunction, map_tensors, ordered, tensors_in

Levels: TypeAlias = tuple[Any, bool]
Rule: TypeAlias = Callable[[Signals, TorchFunction, str, Sequence[Any], dict[str, Any]], Levels]

_CHANNELS_FIRST = ("batch_norm", "instance_norm", "group_norm")
NORMS = {
    "batch_norm": ("input", "running_mean", "running_var", "weight", "bias"),
    "instance_norm": ("input", "running_mean", "running_var", "weight", "bias"),
    "group_norm": ("input", "num_groups", "weight", "bias"),
    "layer_norm": ("input", "normalized_shape", "weight", "bias"),
    "rms_norm": ("input", "normalized_shape", "weight"),
}


def passed_on(signals: Signals, func: TorchFunction, name: str, args: Any, kwargs: Any) -> Levels:
    """Each element by itself, to something that is 0 at 0 or with no meaning at 0."""
    return signals.among((args, kwargs))[0].level, False


def copied(signals: Signals, func: TorchFunction, name: str, args: Any, kwargs: Any) -> Levels:
    """The same elements under another type or bound: a gate stays a gate."""
    signal = signals.among((args, kwargs))[0]
    return signal.level, signal.gate


def gate(signals: Signals, func: TorchFunction, name: str, args: Any, kwargs: Any) -> Levels:
    """Each element by itself, to something that is never 0."""
    return signals.among((args, kwargs))[0].level, True


def norm(signals: Signals, func: TorchFunction, name: str, args: Any, kwargs: Any) -> Levels:
    """Each element by itself, through a scale that may be masked."""
    names = NORMS[name]
    operands, _ = ordered(names, args, kwargs)
    level = signals.level(operands[0])
    spread = [1] * (level.dim() - 2) if name in _CHANNELS_FIRST else []
    scale, shift = (dict(zip(names, operands, strict=False)).get(key) for key in ("weight", "bias"))
    if scale is not None:
        level = level * signals.factor(scale).reshape(*scale.shape, *spread)
    if shift is not None:
        level = signals.shifted(level, shift.reshape(*shift.shape, *spread))
    return level, False


def addition(signals: Signals, func: TorchFunction, name: str, args: Any, kwargs: Any) -> Levels:
    """Alive where a term is; constants add none."""
    tensors = list(tensors_in((args, kwargs)))
    level = signals.level(tensors[0])
    for tensor in tensors[1:]:
        level = level + signals.level(tensor)
    level = signals.shifted(level, *(t for t in tensors if signals.find(t) is None))
    return level, all(signal.gate for signal in signals.among(tensors))


def product(signals: Signals, func: TorchFunction, name: str, args: Any, kwargs: Any) -> Levels:
    """See `products.elementwise`."""
    return products.elementwise(signals, ordered(("input", "other"), args, kwargs)[0][:2])


def contraction(signals: Signals, func: TorchFunction, name: str, args: Any, kwargs: Any) -> Levels:
    """See `products.contraction`."""
    return products.contraction(signals, func, name, args, kwargs), False


def einsum(signals: Signals, func: TorchFunction, name: str, args: Any, kwargs: Any) -> Levels:
    """See `products.einsum`; what a masked factor's units are is not told."""
    return products.einsum(signals, args[0], list(tensors_in(args[1:]))), False


def move(signals: Signals, func: TorchFunction, name: str, args: Any, kwargs: Any) -> Levels:
    """The function itself on the levels, constants being 0: moves, sums and averages of elements."""

    def level(tensor: Tensor) -> Tensor:
        if signals.find(tensor) is None and not tensor.is_floating_point():
            return tensor  # an index
        return signals.level(tensor).clone()  # a copy, for functions that work in place

    gate = all(signal.gate for signal in signals.among((args, kwargs)))
    return func(*map_tensors(level, args), **map_tensors(level, kwargs)), gate


def masked(signals: Signals, func: TorchFunction, name: str, args: Any, kwargs: Any) -> Levels:
    """``masked_fill``: nothing passes where the fill is."""
    (x, mask), _ = ordered(("input", "mask"), args[:2], kwargs)
    return _choice(signals, mask, None, x)


def where(signals: Signals, func: TorchFunction, name: str, args: Any, kwargs: Any) -> Levels:
    """``where``: from either side, as the condition says in this run."""
    # torch.where(condition, x, y) but x.where(condition, y)
    condition, x = (args[0], args[1]) if args[0].dtype is torch.bool else (args[1], args[0])
    return _choice(signals, condition, x, args[2])


def _choice(signals: Signals, condition: Tensor, x: object, y: object) -> Levels:
    levels = [signals.level(t) if isinstance(t, Tensor) else torch.zeros((), device=condition.device) for t in (x, y)]
    return torch.where(condition, *levels), False


def embedding(signals: Signals, func: TorchFunction, name: str, args: Any, kwargs: Any) -> Levels:
    """A look-up: every row may be asked for, whichever the example asks for."""
    tokens, table = ordered(("input", "weight"), args, kwargs)[0][:2]
    return signals.level(tokens).unsqueeze(-1) * signals.factor(table).sum(0), False


def one_hot(signals: Signals, func: TorchFunction, name: str, args: Any, kwargs: Any) -> Levels:
    """``one_hot``: every class may be meant."""
    (tokens, num_classes), _ = ordered(("tensor", "num_classes"), args, kwargs)
    level = signals.level(tokens)
    return level.unsqueeze(-1).expand(*level.shape, num_classes), False


def pad(signals: Signals, func: TorchFunction, name: str, args: Any, kwargs: Any) -> Levels:
    """The level padded its own way; a constant margin is no signal."""
    (image, widths, mode), _ = ordered(("input", "pad", "mode"), args[:3], kwargs)
    return F.pad(signals.level(image), widths, mode or "constant"), False


def written(signals: Signals, func: TorchFunction, name: str, args: Any, kwargs: Any) -> Levels:
    """``x[i] = v`` and ``x.copy_(v)``."""
    level = signals.level(args[0]).clone()
    value = args[2] if name == "setitem" else args[1]
    level[args[1] if name == "setitem" else ...] = signals.level(value) if isinstance(value, Tensor) else 0.0
    return level, False


def erased(signals: Signals, func: TorchFunction, name: str, args: Any, kwargs: Any) -> Levels:
    """``x.zero_()`` and ``x.fill_()``."""
    return torch.zeros_like(signals.level(args[0])), False
