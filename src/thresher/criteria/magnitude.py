"""Magnitude pruning: small weights go."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from thresher.core.batch import Data


@dataclass(frozen=True)
class Magnitude:
    """|θ|: the size of each weight, data-free.

    Cost: none to speak of. Source: Janowsky (1989); Han et al. (2015). Made for trained weights; at
    initialisation it mostly ranks layers by their fan-in.

    >>> import torch
    >>> net = nn.Linear(2, 1)
    >>> Magnitude().scores(net, {"weight": torch.tensor([[-2.0, 1.0]])})["weight"].tolist()
    [[2.0, 1.0]]
    """

    reads_data: ClassVar[bool] = False

    def scores(
        self,
        model: nn.Module,
        weights: Mapping[str, Tensor],
        data: Data | None = None,
        example: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """|θ| for every weight; see Criterion.scores."""
        return {name: weight.detach().abs() for name, weight in weights.items()}
