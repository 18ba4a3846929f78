"""LAMP: global pruning of scores made comparable between layers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from thresher.allocations.apportion import require_enough
from thresher.allocations.global_ import Global
from thresher.core.errors import ArgumentError


@dataclass(frozen=True)
class LAMP:
    """Counts by a global ranking of s_i² / Σ_{j: s_j ≥ s_i} s_j², sums within the tensor.

    The best score of every tensor becomes 1, so no tensor is emptied before all are down to one weight.
    Scores must not be negative: ArgumentError names the tensor. Computed in float64. Cost: one sort per tensor.
    Source: Lee, Park, Mo, Ahn, Shin (2021), equation 3, for magnitudes; here any non-negative score may come.
    Equal scores take their order by index, the lower one being the larger, as everywhere in this package.

    >>> LAMP().counts({"a": torch.tensor([3.0, 1.0]), "b": torch.tensor([0.2, 0.1])}, kept=3)
    {'a': 1, 'b': 2}
    """

    def counts(self, scores: Mapping[str, Tensor], kept: int) -> dict[str, int]:
        """See Allocation.counts."""
        require_enough(scores, kept)
        return Global().counts({name: _comparable(score, name) for name, score in scores.items()}, kept)


def _comparable(score: Tensor, name: str) -> Tensor:
    flat = score.detach().reshape(-1).double()
    removed = flat == -torch.inf
    if bool((flat[~removed] < 0).any()):
        raise ArgumentError(f"LAMP compares squares and needs scores of 0 or more: {name} has some below")
    flat = flat.masked_fill(removed, 0.0)
    if flat.numel():
        # the ratio knows no scale, but squares of a deep network's flow leave float64; powers of two are exact
        flat = flat * 2.0 ** -max(math.frexp(float(flat.max()))[1], -1022)
    square = flat.square()
    descending = square.argsort(descending=True, stable=True)
    at_least = square[descending].cumsum(0)
    result = torch.empty_like(square)
    result[descending] = square[descending] / at_least.clamp_min(torch.finfo(torch.float64).tiny)
    return result.masked_fill_(removed, -torch.inf).view(score.shape)
