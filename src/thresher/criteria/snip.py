"""SNIP: connection sensitivity, how much the loss feels each connection."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from thresher.core.batch import Data, Loss, read_batches
from thresher.core.errors import ArgumentError
from thresher.core.prunable import device_of
from thresher.core.untouched import untouched
from thresher.criteria.loss_gradient import leaves, loss_gradient

Reduction = Literal["abs-of-mean", "mean-of-abs"]


@dataclass(frozen=True)
class SNIP:
    """s = |∂L(c ⊙ θ)/∂c| at c = 1, which is |θ ⊙ ∂L/∂θ|, over all batches in `data`.

    loss: (outputs, targets) → the *mean* loss of the batch, one number.
    reduction: how several batches make one score, batches weighing by their number of examples.
        "abs-of-mean" |mean over examples, then absolute|: the gradient of the whole set, streamed batch by
        batch in bounded memory (thesis chapter 4, Synaptic-Flow). "mean-of-abs": absolute value per batch,
        then the mean (Frankle et al. 2021). With one batch, as in the original, both are the same.
    training: evaluate in training mode (batch statistics, dropout) as Frankle et al. do; default evaluation
        mode, as Lee et al. do. Buffers come back either way.

    Raises DataError without data, ArgumentError for a loss that is no scalar, NonFiniteError for a NaN loss.
    Cost: one forward and backward pass over `data`; memory of one gradient beside the model.
    Source: Lee, Ajanthan, Torr (2019), equations 5 and 6 (thesis equations 3.5, 3.6). Departures: scores are
    not divided by their sum, which changes no rank; by default only weights are scored where the authors'
    code also scores and prunes biases, drawn at random for scoring (`prunable(biases=True)` gives that reading,
    with whatever biases the model has); no new initialisation is drawn after pruning (their code does; a recipe's
    `reinitialize` does here).

    >>> _ = torch.manual_seed(0)
    >>> net, x, y = nn.Linear(3, 2), torch.randn(8, 3), torch.randint(2, (8,))
    >>> SNIP(nn.functional.cross_entropy).scores(net, {"weight": net.weight}, [(x, y)])["weight"].shape
    torch.Size([2, 3])
    """

    reads_data: ClassVar[bool] = True
    loss: Loss
    reduction: Reduction = "abs-of-mean"
    training: bool = False

    def __post_init__(self) -> None:
        if self.reduction not in ("abs-of-mean", "mean-of-abs"):
            raise ArgumentError(f"reduction is 'abs-of-mean' or 'mean-of-abs': got {self.reduction!r}")

    def scores(
        self,
        model: nn.Module,
        weights: Mapping[str, Tensor],
        data: Data | None = None,
        example: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """|θ ⊙ ∂L/∂θ| for every weight; see Criterion.scores."""
        point = leaves(weights)
        sums = [torch.zeros_like(weight, requires_grad=False) for weight in point.values()]
        examples = 0
        with untouched(model, self.training):
            for batch in read_batches(data, "snip", device_of(weights)):
                gradients = loss_gradient(model, point, self.loss, batch)
                examples += len(batch[0])
                for total, gradient in zip(sums, gradients, strict=True):
                    part = gradient.abs() if self.reduction == "mean-of-abs" else gradient
                    total.add_(part, alpha=len(batch[0]))
        return {
            name: (weight.detach() * total / examples).abs()
            for (name, weight), total in zip(point.items(), sums, strict=True)
        }
