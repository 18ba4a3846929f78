"""Mean field: the variance that signals settle at in a wide random network, and how far they carry."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from numbers import Real
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from thresher.core.errors import ArgumentError, unknown_name

Activation = Callable[[Tensor], Tensor]
_Array = NDArray[np.float64]

# every one of them is smooth except, at most, at 0
ACTIVATIONS: dict[str, Activation] = {
    "linear": lambda h: 1.0 * h,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky-relu": partial(F.leaky_relu, negative_slope=0.2),  # as in models, after the code of thesis chapter 4
    "selu": F.selu,
    "gelu": F.gelu,
}

# panels in units of a standard deviation: narrower towards 0, where a steep activation has its structure; what lies
# beyond 12 has the probability 4e-33
_EDGES = (*(2.0**-k for k in range(20, 0, -1)), *map(float, range(1, 13)))
_SMALLEST, _LARGEST = 1e-14, 1e14  # variances between which a fixed point is looked for


@dataclass(frozen=True)
class MeanField:
    """What a wide random network of one activation does to signals, layer after layer.

    variance: q*, the variance of preactivations that inputs of unit variance settle at; 0 where they die out, infinite
        where they grow without end.
    chi: χ₁ at q*, the factor by which a small difference, and a gradient, changes its square per layer.
    slope: dq_{l+1}/dq_l at q*, the factor by which the distance from q* shrinks per layer.
    """

    variance: float
    chi: float
    slope: float

    @property
    def depth_scale(self) -> float:
        """ξ = 1 / |log χ₁|, the layers in which squared gradients change by a factor e; infinite if χ₁ = 1."""
        return _scale(self.chi)

    @property
    def variance_depth_scale(self) -> float:
        """ξ_q = 1 / |log slope|, the layers in which the variance comes e times as near to q*."""
        return _scale(self.slope)

    @property
    def phase(self) -> Literal["ordered", "critical", "chaotic"]:
        """Whether gradients vanish (χ₁ < 1), keep their size, or explode with depth."""
        if abs(self.chi - 1.0) < 1e-9:
            return "critical"
        return "ordered" if self.chi < 1.0 else "chaotic"


def mean_field(
    activation: str | Activation,
    weight_std: float,
    bias_std: float = 0.0,
    *,
    sparsity: float = 0.0,
    kinks: Sequence[float] = (0.0,),
) -> MeanField:
    """The fixed point of a network with weights of variance σ_w²/fan-in and biases of variance σ_b².

    activation: a row of `ACTIVATIONS` ("leaky-relu" has the slope 0.2), or an elementwise function of a float64 tensor
        that autograd differentiates.
    weight_std, bias_std: σ_w and σ_b. sparsity: the fraction of weights removed at random, which leaves σ_w²
        times 1 - sparsity.
    kinks: where the activation's derivative jumps.

    q_{l+1} = σ_w² E[φ(√q_l z)²] + σ_b² with z standard normal, from q_0 = 1; χ₁ = σ_w² E[φ'(√q* z)²]; slope =
    σ_w² E[φ φ' z] / √q*. q* is the fixed point next to 1 in the direction in which the first step goes: the one
    reached, if more variance in is never less out. Where every variance is a fixed point (critical ReLU) it is 1.

    The expectations are Gauss-Legendre sums, 40 points on each of 64 panels that end at the kinks and narrow towards
    0. Within 1e-12 of closed forms for q up to 1e8, where a Gauss-Hermite sum of 200 points is off by 2 % for tanh at
    q = 100 already: its points lie too far apart for what is steep.

    Raises ArgumentError for arguments out of range, an unknown name, values that are not finite or whose squares are
    not, and a function whose derivative does not integrate to its values: it jumps, or has a kink that `kinks` does
    not name.
    Cost: some 100 expectations, 0.05 s. Source: Poole et al. (2016), equations 3 and 5; Schoenholz et al. (2017),
    equations 3 and 7-9. A mask independent of the weights multiplies their variance by its density: Evci et al. (2022).

    >>> settled = mean_field("tanh", weight_std=1.5, bias_std=0.3)
    >>> round(settled.variance, 4), round(settled.chi, 4), round(settled.depth_scale, 1), settled.phase
    (0.9608, 1.061, 16.9, 'chaotic')
    >>> mean_field("relu", 2**0.5).phase, round(mean_field("relu", 2**0.5, sparsity=0.9).chi, 6)
    ('critical', 0.1)
    """
    weight_std, bias_std, sparsity = _in_range(weight_std, bias_std, sparsity)
    moments = _Moments(activation, kinks)
    weight, bias = weight_std**2 * (1 - sparsity), bias_std**2
    variance = _settled(lambda q: weight * moments.of(q).square + bias)
    at = moments.of(min(max(variance, _SMALLEST), _LARGEST))
    return MeanField(variance, weight * at.derivative_square, weight * at.square_slope)


def critical_gain(
    activation: str | Activation,
    bias_std: float = 0.0,
    *,
    sparsity: float = 0.0,
    kinks: Sequence[float] = (0.0,),
) -> float:
    """The σ_w at which χ₁ = 1: the gain of an initializer that makes gradients neither vanish nor explode.

    Arguments as for `mean_field`. With a fraction of weights removed at random it is 1/√(1 - sparsity) as much. Where
    several do, the one of the smallest q*.

    At χ₁ = 1, σ_w² = 1/E[φ'²] and σ_b² = q - σ_w² E[φ²] are functions of q alone; the q at which σ_b is the one asked
    for are found on a grid and by bisection, and each is confirmed by `mean_field`.

    Raises ArgumentError where no σ_w will do, and as `mean_field`. Cost: some 300 expectations, 0.1 s.
    Source: Schoenholz et al. (2017), section 3; Pennington, Schoenholz, Ganguli (2017), section 2.2.

    >>> round(critical_gain("tanh"), 6), round(critical_gain("relu"), 6), round(critical_gain("tanh", sparsity=0.75), 6)
    (1.0, 1.414214, 2.0)
    """
    _, bias_std, sparsity = _in_range(1.0, bias_std, sparsity)
    moments = _Moments(activation, kinks)

    def weight_and_bias(q: float) -> tuple[float, float]:
        at = moments.of(q)
        weight = 1 / at.derivative_square if at.derivative_square else math.inf
        return weight, q - weight * at.square

    grid = [10.0 ** (exponent / 5) for exponent in range(-70, 71)]
    misses = [weight_and_bias(q)[1] - bias_std**2 for q in grid]
    # at the smallest q the signal has died out; where σ_b = 0 that is a solution as well
    found = [grid[0]] if abs(misses[0]) < 1e-13 else []
    for low, high, miss, next_miss in zip(grid, grid[1:], misses, misses[1:], strict=False):
        if miss * next_miss < 0:
            found.append(_bisected(lambda q: weight_and_bias(q)[1] - bias_std**2, low, high))
    for q in found:
        weight_std = math.sqrt(weight_and_bias(q)[0])
        settled = mean_field(activation, weight_std, bias_std, kinks=kinks) if weight_std < math.inf else None
        if settled and settled.variance < math.inf and abs(settled.chi - 1) < 1e-6:
            return weight_std / math.sqrt(1 - sparsity)
    raise ArgumentError(
        f"no weight_std makes χ₁ = 1 for {activation if isinstance(activation, str) else 'this function'} with "
        f"bias_std={bias_std}: signals then leave every fixed point, or there is none; try another bias_std"
    )


def _in_range(weight_std: float, bias_std: float, sparsity: float) -> tuple[float, float, float]:
    for name, value in (("weight_std", weight_std), ("bias_std", bias_std), ("sparsity", sparsity)):
        if not isinstance(value, Real):
            raise ArgumentError(f"{name} is a number: got {value!r}")
    # of NumPy's float32 everything below would be computed in float32
    weight_std, bias_std, sparsity = float(weight_std), float(bias_std), float(sparsity)
    if not (weight_std > 0 and bias_std >= 0 and math.isfinite(weight_std * weight_std + bias_std * bias_std)):
        raise ArgumentError(
            "weight_std is positive and bias_std not negative, and their squares are finite: got "
            f"{weight_std} and {bias_std}"
        )
    if not 0 <= sparsity < 1:
        raise ArgumentError(f"sparsity is the fraction removed, in [0, 1): got {sparsity}")
    return weight_std, bias_std, sparsity


@dataclass(frozen=True)
class _Expectations:
    square: float  # E[φ²]
    derivative_square: float  # E[φ'²]
    square_slope: float  # dE[φ²]/dq


class _Moments:
    """Expectations of an activation of N(0, q), for any q."""

    def __init__(self, activation: str | Activation, kinks: Sequence[float]) -> None:
        if isinstance(activation, str) and activation not in ACTIVATIONS:
            raise unknown_name("activation", activation, ACTIVATIONS)
        if not isinstance(activation, str) and not callable(activation):
            raise ArgumentError(f"activation is a name or an elementwise function: got {activation!r}")
        self._function = ACTIVATIONS[activation] if isinstance(activation, str) else activation
        self._kinks = sorted({0.0, *map(float, kinks)})
        self._check()

    def of(self, q: float) -> _Expectations:
        root = math.sqrt(q)
        edges = _edges(tuple(kink / root for kink in self._kinks))
        z, weights = _rule(edges)
        value, derivative = self._both(root * z)
        with np.errstate(over="ignore", invalid="ignore"):  # looked at below
            square, derivative_square = float(weights @ value**2), float(weights @ derivative**2)
            square_slope = float(weights @ (value * derivative * z)) / root
        if not math.isfinite(square + derivative_square + square_slope):
            raise ArgumentError(
                f"activation is too steep: at variance {q:.3g} its mean square, or that of its derivative, is beyond "
                "float64"
            )
        return _Expectations(square, derivative_square, square_slope)

    def _both(self, h: _Array) -> tuple[_Array, _Array]:
        point = torch.from_numpy(h).requires_grad_()
        with torch.enable_grad():
            value = self._function(point)
            if not isinstance(value, Tensor):
                raise ArgumentError(
                    "activation is an elementwise function that autograd differentiates: for a tensor it gave a "
                    f"{type(value).__name__}"
                )
            if value.shape != point.shape or not value.requires_grad:
                raise ArgumentError(
                    "activation is an elementwise function that autograd differentiates: it gave "
                    f"{list(value.shape)} for {list(point.shape)}, requires_grad={value.requires_grad}"
                )
            (derivative,) = torch.autograd.grad(value.sum(), point)
        if not bool(value.isfinite().all() and derivative.isfinite().all()):
            raise ArgumentError(
                f"activation gives values or derivatives that are not finite within ±{abs(h).max():.3g}"
            )
        return value.detach().numpy(), derivative.numpy()

    def _check(self) -> None:
        """Panel by panel within ±12, the derivative integrates to the difference of the values."""
        # at odd places, where no function has a reason to jump: a kink between two panels would go unseen
        edges = np.array(sorted({*self._kinks, *(0.7548776662 * edge for edge in _edges(()))}))
        z, weights = _panels(edges)
        integrals = (self._both(z)[1] * weights).reshape(len(edges) - 1, -1).sum(1)
        # a hair inside: at the edge itself a jump may have either value
        inside = 1e-9 * np.diff(edges)
        rises = self._both(edges[1:] - inside)[0] - self._both(edges[:-1] + inside)[0]
        joined = self._both(edges[1:-1] + inside[1:])[0] - self._both(edges[1:-1] - inside[:-1])[0]
        scale = np.abs(self._both(edges)[0]).max() + 1e-300
        off = np.abs(integrals - rises) > 1e-7 * scale
        jumps = np.abs(joined) > 1e-7 * scale
        if off.any() or jumps.any():
            at = edges[:-1][off] if off.any() else edges[1:-1][jumps]
            raise ArgumentError(
                f"activation's derivative does not integrate to its values near {at[0]:.3g}: name every kink in "
                "kinks=[...]; a function that jumps has no mean-field gradient"
            )


def _edges(kinks: tuple[float, ...]) -> tuple[float, ...]:
    both = {0.0, *_EDGES, *(-edge for edge in _EDGES), *(k for k in kinks if abs(k) < _EDGES[-1])}
    return tuple(sorted(both))


@cache
def _rule(edges: tuple[float, ...]) -> tuple[_Array, _Array]:
    """Points and weights of ∫ f(z) e^(-z²/2)/√2π dz."""
    z, weights = _panels(np.array(edges))
    return z, weights * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def _panels(edges: _Array) -> tuple[_Array, _Array]:
    """Points and weights of ∫ f(z) dz, 40 a panel."""
    x, w = np.polynomial.legendre.leggauss(40)
    half = np.diff(edges) / 2
    middle = (edges[1:] + edges[:-1]) / 2
    return (middle[:, None] + half[:, None] * x).ravel(), (half[:, None] * w).ravel()


def _settled(step: Callable[[float], float]) -> float:
    """The fixed point next to 1 on the side where `step` of 1 lies; 0 or infinity where there is none."""
    q = 1.0
    gain = step(q) - q
    if abs(gain) < 1e-12:
        return q
    factor = 2.0 if gain > 0 else 0.5
    while _SMALLEST < q < _LARGEST:
        q, before = q * factor, q
        if (step(q) - q) * math.copysign(1.0, gain) < -1e-12 * q:  # the other sign, and not by rounding
            return _bisected(lambda x: step(x) - x, min(q, before), max(q, before))
    return math.inf if gain > 0 else 0.0


def _bisected(function: Callable[[float], float], low: float, high: float) -> float:
    """A zero of `function` between `low` and `high`, at which its signs differ, to the last bit."""
    sign = function(low)
    while low < (middle := math.sqrt(low) * math.sqrt(high)) < high:
        if function(middle) * sign > 0:
            low = middle
        else:
            high = middle
    return high


def _scale(factor: float) -> float:
    if factor <= 0:
        return 0.0
    return math.inf if abs(factor - 1) < 1e-12 else 1 / abs(math.log(factor))
