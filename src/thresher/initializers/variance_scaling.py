"""Variance scaling: weights drawn so that signals keep their size from layer to layer."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from thresher.core.errors import ArgumentError
from thresher.core.prunable import prunable
from thresher.initializers.initializer import Initialized, gates, require_dense

Fan = Literal["in", "out", "average"]
Distribution = Literal["truncated-normal", "normal", "uniform"]

# standard deviation of a unit normal cut at ±2, by which the cut draw is widened again
_TRUNCATED_STD = 0.87962566103423978


@dataclass(frozen=True)
class VarianceScaling:
    """Weights of variance scale / fan, biases zero.

    scale, fan: "lecun" is 1 and "in"; "glorot", VS-X in the thesis, 1 and "average"; "he", VS-H, 2 and "in".
    distribution: "truncated-normal" is cut at two standard deviations and widened to the exact variance, as in
        TensorFlow's initializer that the SNIP authors used; "normal"; "uniform".

    Recurrent weights hold their gates side by side; each gate is drawn with the fan of one gate. Norms, embeddings
    and frozen parameters are left as they are. Raises ArgumentError for a scale that is not positive.
    Source: LeCun, Bottou, Orr, Müller (1998), equation 16; Glorot, Bengio (2010), equation 12; He et al. (2015),
    equation 10.

    >>> net = nn.Linear(1000, 1000)
    >>> _ = VarianceScaling(scale=2.0).initialize_(net, torch.Generator().manual_seed(0))
    >>> round(net.weight.var().item() * 1000, 1), net.bias.abs().max().item()
    (2.0, 0.0)
    """

    scale: float = 1.0
    fan: Fan = "in"
    distribution: Distribution = "truncated-normal"

    def __post_init__(self) -> None:
        if not self.scale > 0 or math.isinf(self.scale):
            raise ArgumentError(f"scale multiplies the variance and is positive: got {self.scale}")
        if self.fan not in ("in", "out", "average"):
            raise ArgumentError(f"fan is 'in', 'out' or 'average': got {self.fan!r}")
        if self.distribution not in ("truncated-normal", "normal", "uniform"):
            raise ArgumentError(f"distribution is 'truncated-normal', 'normal' or 'uniform': got {self.distribution!r}")

    @torch.no_grad()
    def initialize_(self, model: nn.Module, generator: torch.Generator) -> tuple[Initialized, ...]:
        """Draw every prunable weight of `model` anew from `generator`, in place, and zero the layers' biases."""
        require_dense(model)
        weights = prunable(model)
        stacked = gates(model)
        for name, parameter in prunable(model, biases=True).items():
            if name in weights:
                for gate in parameter.chunk(stacked.get(id(parameter), 1)):
                    self._draw_(gate, generator)
            else:
                parameter.zero_()
        done = f"{self.distribution} of variance {self.scale:g} / fan {self.fan}"
        return tuple(Initialized(name, done) for name in weights)

    def _draw_(self, weight: Tensor, generator: torch.Generator) -> None:
        fan_in, fan_out = _fans(weight)
        fan = {"in": fan_in, "out": fan_out, "average": (fan_in + fan_out) / 2}[self.fan]
        std = math.sqrt(self.scale / max(fan, 1))
        if self.distribution == "uniform":
            bound = math.sqrt(3.0) * std
            weight.uniform_(-bound, bound, generator=generator)
        elif self.distribution == "normal":
            weight.normal_(0.0, std, generator=generator)
        else:
            wide = std / _TRUNCATED_STD
            nn.init.trunc_normal_(weight, 0.0, wide, -2 * wide, 2 * wide, generator=generator)


def _fans(weight: Tensor) -> tuple[float, float]:
    receptive = math.prod(weight.shape[2:])
    return weight.shape[1] * receptive if weight.dim() > 1 else weight.shape[0], weight.shape[0] * receptive
