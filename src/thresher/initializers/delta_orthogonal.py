"""Delta-orthogonal convolutions: an orthogonal matrix at the centre of the kernel, zero everywhere else."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from thresher.initializers.initializer import Initialized, draw_maps_
from thresher.initializers.orthogonal import Orthogonal, checked_gain, orthonormal


@dataclass(frozen=True)
class DeltaOrthogonal:
    """Convolutions that multiply the norm of every image by `gain`; other layers as `Orthogonal`; biases zero.

    gain: as for `Orthogonal`.

    The tap at the centre is gain · Q with orthonormal columns [out, in], the others are zero, so that the layer
    mixes channels at each pixel alone. With more channels in than out (per group), with a stride, or where
    padding leaves border pixels out, no such kernel preserves the norm; the nearest one is drawn (orthonormal rows)
    and the row says so. The zero taps have no sensitivity: a criterion that multiplies by the weight removes them
    first.
    Raises ArgumentError for a gain that is not positive.
    Source: Xiao, Bahri, Sohl-Dickstein, Schoenholz, Pennington (2018), Algorithm 2.

    >>> net = nn.Conv2d(2, 4, 3, padding=1, stride=2)
    >>> DeltaOrthogonal().initialize_(net, torch.Generator().manual_seed(0))[0].shortfall
    'stride 2 skips pixels'
    >>> net.weight.count_nonzero(dim=(0, 1)).tolist()
    [[0, 0, 0], [0, 8, 0], [0, 0, 0]]
    """

    gain: float | str = 1.0

    def __post_init__(self) -> None:
        checked_gain(self.gain)

    def initialize_(self, model: nn.Module, generator: torch.Generator) -> tuple[Initialized, ...]:
        """Draw every prunable weight of `model` anew from `generator`, in place, and zero the layers' biases."""

        def draw(layer: nn.Module, part: Tensor) -> Initialized:
            if not isinstance(layer, _ConvNd):
                return Orthogonal(self.gain).draw_(layer, part, generator)
            gain = checked_gain(self.gain)
            part.zero_()
            tap = part
            for size in reversed(layer.kernel_size):
                tap = tap.select(-1, (size - 1) // 2)
            tap.copy_(gain * orthonormal(part.shape[0], part.shape[1], generator))
            missing = [*lost_channels(layer), *lost_pixels(layer), *_lost_border(layer)]
            return Initialized("", f"delta-orthogonal, gain {gain:.4g}", "; ".join(missing))

        return draw_maps_(model, draw)


def lost_channels(layer: _ConvNd) -> list[str]:
    """What to say where there are more channels in than out: a norm cannot be preserved."""
    c_in, c_out = layer.in_channels // layer.groups, layer.out_channels // layer.groups
    return [f"{c_in} channels into {c_out}: some directions are lost"] if c_in > c_out else []


def lost_pixels(layer: _ConvNd) -> list[str]:
    """What to say of a stride: the kernel does not see every pixel at each of its taps."""
    if isinstance(layer, _ConvTransposeNd) or max(layer.stride, default=1) == 1:
        return []
    return [f"stride {'×'.join(map(str, sorted(set(layer.stride))))} skips pixels"]


def sides(layer: _ConvNd) -> list[tuple[int, int]]:
    """Pixels of padding before and after the image, by dimension."""
    if layer.padding == "same":
        sums = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        return [(total // 2, total - total // 2) for total in sums]
    if layer.padding == "valid":
        return [(0, 0)] * len(layer.kernel_size)
    return [(int(p), int(p)) for p in layer.padding]


def _lost_border(layer: _ConvNd) -> list[str]:
    if isinstance(layer, _ConvTransposeNd):
        return ["a transposed convolution: its borders were not looked at"]
    for (before, after), k, d in zip(sides(layer), layer.kernel_size, layer.dilation, strict=True):
        needed = (d * ((k - 1) // 2), d * (k - 1 - (k - 1) // 2))
        if before < needed[0] or after < needed[1]:
            return [f"padding {before} for a kernel of {k}: the centre misses pixels at the border"]
        if layer.padding_mode != "zeros" and (before, after) != needed:
            return [f"{layer.padding_mode} padding {before} for a kernel of {k}: border pixels count twice"]
    return []
