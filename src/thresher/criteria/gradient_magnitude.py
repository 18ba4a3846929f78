"""Gradient magnitude: how strongly single batches pull at each weight."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from thresher.core.batch import Data, Loss, read_batches
from thresher.core.prunable import device_of
from thresher.core.untouched import untouched
from thresher.criteria.loss_gradient import leaves, loss_gradient


@dataclass(frozen=True)
class GradientMagnitude:
    """Σ_b |θ ⊙ ∂L_b/∂θ| over the batches b of `data`, or Σ_b |∂L_b/∂θ|.

    loss: (outputs, targets) → the mean loss of the batch, one number.
    times_weight: False leaves the weight out. The thesis warns against that variant (section 3.4.1 and Figure
        3.6): it measures an *additive* change of a weight, not the presence of the connection. What that figure
        shows, masks that change when the images are inverted, is the signed derivative's; its magnitude, here,
        keeps much the same pixels as SNIP (``thresher reproduce thesis/figure-3.6``).

    Batches weigh alike, whatever their size. With `times_weight` and batches of one size the ranks are those of
    SNIP(reduction="mean-of-abs"). Raises as SNIP does. Evaluation mode.
    Cost: one forward and backward pass over `data`. Source: Mozer and Smolensky (1989); thesis section 3.4.1,
    appendix 3.A.

    >>> _ = torch.manual_seed(0)
    >>> net, x, y = nn.Linear(3, 2), torch.randn(8, 3), torch.randint(2, (8,))
    >>> criterion = GradientMagnitude(nn.functional.cross_entropy, times_weight=False)
    >>> criterion.scores(net, {"weight": net.weight}, [(x, y)])["weight"].shape
    torch.Size([2, 3])
    """

    reads_data: ClassVar[bool] = True
    loss: Loss
    times_weight: bool = True

    def scores(
        self,
        model: nn.Module,
        weights: Mapping[str, Tensor],
        data: Data | None = None,
        example: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Σ_b |θ ⊙ ∂L_b/∂θ| (or without θ) for every weight; see Criterion.scores."""
        point = leaves(weights)
        sums = {name: torch.zeros_like(weight, requires_grad=False) for name, weight in point.items()}
        with untouched(model, training=False):
            for batch in read_batches(data, "gradient-magnitude", device_of(weights)):
                gradients = loss_gradient(model, point, self.loss, batch)
                for total, gradient in zip(sums.values(), gradients, strict=True):
                    total.add_(gradient.abs())
        if not self.times_weight:
            return sums
        return {name: point[name].detach().abs() * total for name, total in sums.items()}
