"""Another criterion upside down: it keeps what the other would remove. A sanity check."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from thresher.core.batch import Data
from thresher.criteria.criterion import Criterion


@dataclass(frozen=True)
class Inverted:
    """Low scores of `criterion` are kept: if that does no harm, the scores say nothing about single weights.

    Cost: the criterion's. Source: Frankle, Dziugaite, Roy, Carbin (2021), section 5, "Invert". Departure: over
    several rounds each round scores what the inverted rounds before have left.

    >>> import torch
    >>> net = nn.Linear(2, 1, bias=False)
    >>> net.weight.data = torch.tensor([[1.0, -3.0]])
    >>> from thresher.criteria import Magnitude
    >>> Inverted(Magnitude()).scores(net, {"weight": net.weight})["weight"].tolist()
    [[-1.0, -3.0]]
    """

    reads_data: ClassVar[bool] = True
    criterion: Criterion

    def __post_init__(self) -> None:
        # of one instance here, not of the class: it depends on what is inverted
        object.__setattr__(self, "reads_data", self.criterion.reads_data)

    def scores(
        self,
        model: nn.Module,
        weights: Mapping[str, Tensor],
        data: Data | None = None,
        example: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The scores of `criterion` with their signs turned; see Criterion.scores."""
        return {name: -scores for name, scores in self.criterion.scores(model, weights, data, example).items()}
