"""The signed derivative as a score: what a weight would gain by growing, whether the connection matters or not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from thresher.core.batch import Data, read_batches
from thresher.core.prunable import device_of
from thresher.core.untouched import untouched
from thresher.criteria.loss_gradient import leaves, loss_gradient


@dataclass(frozen=True)
class SignedGradient:
    """−∂L/∂θ, summed over the batches of `data`; L is the cross-entropy. Not a method to prune with: a foil of SNIP.

    Source: Mozer and Smolensky (1989) as thesis section 3.4.1 writes them. Figure 3.6 does not say whether absolute
    values were taken; without them, as here, it looks as printed.

    >>> net, x, y = nn.Linear(2, 2), torch.eye(2), torch.tensor([0, 1])
    >>> SignedGradient().scores(net, {"weight": net.weight}, [(x, y)])["weight"].diagonal().gt(0).all().item()
    True
    """

    reads_data: ClassVar[bool] = True

    def scores(
        self,
        model: nn.Module,
        weights: Mapping[str, Tensor],
        data: Data | None = None,
        example: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """−∂L/∂θ for every weight; see Criterion.scores."""
        point = leaves(weights)
        sums = {name: torch.zeros_like(weight, requires_grad=False) for name, weight in point.items()}
        with untouched(model, training=False):
            for batch in read_batches(data, "signed-gradient", device_of(weights)):
                gradients = loss_gradient(model, point, cross_entropy, batch)
                for total, gradient in zip(sums.values(), gradients, strict=True):
                    total.sub_(gradient)
        return sums
