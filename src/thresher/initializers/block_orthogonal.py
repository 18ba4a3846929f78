"""Block-orthogonal convolutions: the product of 2-tap kernels made of projections, orthogonal with every tap in use."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from thresher.initializers.delta_orthogonal import lost_channels, lost_pixels, sides
from thresher.initializers.initializer import Initialized, draw_maps_
from thresher.initializers.orthogonal import Orthogonal, checked_gain, orthonormal


@dataclass(frozen=True)
class BlockOrthogonal:
    """Convolutions that multiply the norm of every image by `gain`; other layers as `Orthogonal`; biases zero.

    gain: as for `Orthogonal`.

    With P = P² = Pᵀ [out, out] the two taps (P, I - P) preserve norms: at each frequency they add up to the unitary
    P + (I - P)·e^{iω}. A k_1 × k_2 kernel is a product of k_1 - 1 of them down, k_2 - 1 across, by turns, and of Q
    [out, in] with orthonormal columns. Exact under circular padding of a stride-1 layer with no fewer
    channels out than in; otherwise the row says what is missing (orthonormal rows where channels are lost). In
    contrast to `DeltaOrthogonal` every tap carries weight, so this is the one to prune.
    Raises ArgumentError for a gain that is not positive. Cost: one QR factorization [out, out] a factor.
    Source: Xiao, Bahri, Sohl-Dickstein, Schoenholz, Pennington (2018), Algorithm 1 (square kernels; here any), after
    Kautsky, Turcajová (1994); the initialization of the convolutions of thesis chapter 4 (Lee 2021). Departure: as
    in TensorFlow's, each direction is in P with probability 1/2, where the paper fixes their number at half.

    >>> net = nn.Conv2d(3, 8, 3, padding=1, padding_mode="circular", bias=False)
    >>> BlockOrthogonal().initialize_(net, torch.Generator().manual_seed(0))
    (Initialized(name='weight', done='block-orthogonal, gain 1', shortfall=''),)
    >>> images = torch.randn(2, 3, 9, 9)
    >>> torch.allclose(net(images).norm(), images.norm())
    True
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
            # a transposed convolution's kernel is [in, out, …] and the same construction read backwards
            kernel = _kernel(part.shape[0], part.shape[1], layer.kernel_size, generator)
            part.copy_(gain * kernel)
            missing = [*lost_channels(layer), *lost_pixels(layer), *_border(layer)]
            return Initialized("", f"block-orthogonal, gain {gain:.4g}", "; ".join(missing))

        return draw_maps_(model, draw)


def _kernel(c_out: int, c_in: int, sizes: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """float64 [c_out, c_in, *sizes], of which the sum over taps times e^{iω·tap} is orthonormal at every ω."""
    kernel = orthonormal(c_out, c_in, generator).view(c_out, c_in, *(1,) * len(sizes))
    for step in range(1, max(sizes)):
        for axis, size in enumerate(sizes):
            if step < size:
                taps = _projection(c_out, generator)
                one, other = (torch.einsum("ab,b...->a...", tap, kernel) for tap in taps)
                gap = torch.zeros_like(one.narrow(2 + axis, 0, 1))
                kernel = torch.cat([one, gap], 2 + axis) + torch.cat([gap, other], 2 + axis)
    return kernel


def _projection(size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """P and I - P, P the projection onto a random subspace."""
    q = orthonormal(size, size, generator)
    q = q[:, torch.rand(size, generator=generator, device=generator.device) < 0.5]
    p = q @ q.T
    return p, torch.eye(size, dtype=p.dtype, device=p.device) - p


def _border(layer: _ConvNd) -> list[str]:
    if math.prod(layer.kernel_size) == 1:
        return []
    whole = [before + after for before, after in sides(layer)]
    needed = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    if layer.padding_mode == "circular" and whole == needed:
        return []
    return [f"{layer.padding_mode} padding {'×'.join(map(str, whole))}: exact inside, not at the border"]
