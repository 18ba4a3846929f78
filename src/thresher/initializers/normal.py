"""Plain normal weights: the same deviation in every layer, whatever its size. The control."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from thresher.core.errors import ArgumentError
from thresher.core.prunable import prunable
from thresher.initializers.initializer import Initialized, require_dense


@dataclass(frozen=True)
class Normal:
    """Weights drawn from N(0, std²), biases zero.

    truncated: draws beyond two deviations are replaced, which makes the variance 0.774 std²; as in TensorFlow's
        initializer of that name it is not widened again.

    Norms, embeddings and frozen parameters are left as they are. Raises ArgumentError for a std that is not positive.
    Source: RN and TN of thesis section 3.5.5 (Lee 2021), which gives no deviation; 1 is TensorFlow's default, the
    library of that work.

    >>> net = nn.Linear(1000, 1000)
    >>> _ = Normal().initialize_(net, torch.Generator().manual_seed(0))
    >>> round(net.weight.std().item(), 2), net.bias.abs().max().item()
    (1.0, 0.0)
    """

    std: float = 1.0
    truncated: bool = False

    def __post_init__(self) -> None:
        if not self.std > 0 or math.isinf(self.std):
            raise ArgumentError(f"std is a standard deviation and positive: got {self.std}")

    @torch.no_grad()
    def initialize_(self, model: nn.Module, generator: torch.Generator) -> tuple[Initialized, ...]:
        """Draw every prunable weight of `model` anew from `generator`, in place, and zero the layers' biases."""
        require_dense(model)
        weights = prunable(model)
        for name, parameter in prunable(model, biases=True).items():
            if name not in weights:
                parameter.zero_()
            elif self.truncated:
                nn.init.trunc_normal_(parameter, 0.0, self.std, -2 * self.std, 2 * self.std, generator=generator)
            else:
                parameter.normal_(0.0, self.std, generator=generator)
        done = f"{'truncated-normal' if self.truncated else 'normal'} of deviation {self.std:g}"
        return tuple(Initialized(name, done) for name in weights)
