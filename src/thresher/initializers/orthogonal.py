"""Orthogonal weights: every singular value of a layer's matrix is the gain."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from thresher.core.errors import ArgumentError, UnknownNameError, unknown_name
from thresher.initializers.initializer import Initialized, draw_maps_

# σ_w at which χ₁ = 1 without biases; leaky-relu has the slope of models, 0.2, after the code of thesis chapter 4
GAINS = {"linear": 1.0, "tanh": 1.0, "relu": math.sqrt(2.0), "leaky-relu": math.sqrt(2.0 / (1.0 + 0.2**2))}


@dataclass(frozen=True)
class Orthogonal:
    """Weights gain · Q with Q uniform among the matrices of orthonormal rows or columns, biases zero.

    gain: a number, or the activation between the layers, whose mean-field gain is taken: "linear", "tanh", "relu",
        "leaky-relu" (slope 0.2). For others `analysis.critical_gain` gives the number.

    A matrix with more columns than rows gets orthonormal rows, otherwise columns. Recurrent and attention weights
    get one Q a gate or projection, grouped convolutions one a group. A convolution's kernel is drawn as the matrix
    [out, in · taps] that it is in memory, as in ``torch.nn.init``: that is no orthogonal operator on images, whose
    singular values lie anywhere between 0 and 2 for 3×3; `DeltaOrthogonal` and `BlockOrthogonal` are. With ReLU the
    mean squared singular value of the Jacobian is then 1, yet there is no isometry: half of the units are shut.
    Norms, embeddings and frozen parameters are left as they are.
    Raises ArgumentError for a gain that is not positive. Cost: one QR factorization in float64 a map.
    Source: Saxe, McClelland, Ganguli (2014), section 3; gains: Pennington, Schoenholz, Ganguli (2017), section 2;
    Q from the QR factorization with positive diagonal: Mezzadri (2007), section 5.

    >>> net = nn.Linear(30, 20)
    >>> Orthogonal("relu").initialize_(net, torch.Generator().manual_seed(0))
    (Initialized(name='weight', done='orthogonal, gain 1.414', shortfall=''),)
    >>> values = torch.linalg.svdvals(net.weight.detach())
    >>> round(values.min().item(), 4), round(values.max().item(), 4)
    (1.4142, 1.4142)
    """

    gain: float | str = 1.0

    def __post_init__(self) -> None:
        checked_gain(self.gain)

    def initialize_(self, model: nn.Module, generator: torch.Generator) -> tuple[Initialized, ...]:
        """Draw every prunable weight of `model` anew from `generator`, in place, and zero the layers' biases."""
        return draw_maps_(model, lambda layer, part: self.draw_(layer, part, generator))

    def draw_(self, layer: nn.Module, part: Tensor, generator: torch.Generator) -> Initialized:
        """Fill `part`, one linear map of `layer`."""
        gain = checked_gain(self.gain)
        rows = part.shape[0]
        part.copy_(gain * orthonormal(rows, part.numel() // max(rows, 1), generator).view(part.shape))
        shortfall = ""
        if isinstance(layer, _ConvNd) and math.prod(layer.kernel_size) > 1:
            shortfall = f"orthogonal as a matrix {rows} × {part[0].numel()}, not as a convolution"
        return Initialized("", f"orthogonal, gain {gain:.4g}", shortfall)


def checked_gain(gain: float | str) -> float:
    """The number that `gain` is or stands for; ArgumentError if that is no activation listed, or not positive."""
    if isinstance(gain, str):
        if gain not in GAINS:
            raise UnknownNameError(
                f"{unknown_name('activation', gain, GAINS)}; for another, pass the number that "
                "thresher.analysis.critical_gain finds for it"
            )
        return GAINS[gain]
    if not gain > 0 or math.isinf(gain):
        raise ArgumentError(f"gain multiplies the singular values and is positive: got {gain}")
    return gain


def orthonormal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """float64 [rows, columns] with orthonormal rows or columns, whichever are fewer, uniform among those."""
    shape = (max(rows, columns), min(rows, columns))
    drawn = torch.randn(shape, dtype=torch.float64, generator=generator, device=generator.device)
    q: Tensor
    q, r = torch.linalg.qr(drawn)
    q = q * r.diagonal().sign()  # without it Q depends on how the factorization was computed
    return q if rows >= columns else q.T
