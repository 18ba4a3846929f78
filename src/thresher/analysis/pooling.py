"""How signal passes maxima: like sums, since an all-ones run would show one path and hide the ties."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from thresher.analysis.flow_rules import Levels, addition
from thresher.analysis.signals import Signals
from thresher.analysis.tracing import TorchFunction, ordered

_MAX_POOL = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode")
_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_AVERAGE = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}


def max_pool(signals: Signals, func: TorchFunction, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Levels:
    """Alive where anything in the window is: a convolution with ones, cut to the pool's own output shape."""
    with_indices = name.endswith("_with_indices")
    n = int(name.removesuffix("_with_indices")[-2])
    image, kernel, stride, padding, dilation, ceil_mode = ordered(_MAX_POOL, args, kwargs)[0][: len(_MAX_POOL)]
    level = signals.level(image)
    pooled = func(level.detach(), kernel, stride or [], padding or 0, dilation or 1, bool(ceil_mode))
    shape = (pooled[0] if with_indices else pooled).shape
    size = _each(kernel, n)
    step = _each(stride, n) if stride else size  # max_pool1d passes an empty list for none
    channels = level.shape[-1 - n]
    ones = torch.ones(channels, 1, *size, dtype=level.dtype, device=level.device)
    room = [width for extent in reversed(step) for width in (0, extent)]  # windows that ceil_mode lets stick out
    padded = F.pad(level, room)
    found = _CONVOLVE[n](padded, ones, None, step, _each(padding or 0, n), _each(dilation or 1, n), groups=channels)
    for dim in range(-n, 0):
        found = found.narrow(dim, 0, shape[dim])
    return (found, pooled[1]) if with_indices else found, False


def adaptive_max_pool(
    signals: Signals, func: TorchFunction, name: str, args: Sequence[Any], kwargs: dict[str, Any]
) -> Levels:
    """Alive where anything in the adaptive window is."""
    (image, size), _ = ordered(("input", "output_size"), args[:2], kwargs)
    return _AVERAGE[int(name[-2])](signals.level(image), size), False


def extremum(signals: Signals, func: TorchFunction, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Levels:
    """``max``, ``amax``, ``min``, ``amin``, ``logsumexp``: alive where anything along the dimensions is."""
    (x, dim, keepdim), _ = ordered(("input", "dim", "keepdim"), args, kwargs)
    if isinstance(dim, Tensor) or "other" in kwargs:
        return addition(signals, func, name, args, kwargs)
    level = signals.level(x)
    if dim is None:
        return level.sum(), False
    found = level.sum(dim, keepdim=bool(keepdim))
    if name not in ("max", "min"):
        return found, False
    both = func(level.detach(), dim, bool(keepdim))
    return type(both)([found, both[1]]), False


def _each(value: int | Sequence[int], n: int) -> list[int]:
    if isinstance(value, int):
        return [value] * n
    return list(value) * (n if len(value) == 1 else 1)
