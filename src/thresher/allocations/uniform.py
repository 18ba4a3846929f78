"""Uniform: the same sparsity in every tensor."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from thresher.allocations.apportion import apportion, require_enough


@dataclass(frozen=True)
class Uniform:
    """Counts in proportion to the tensors' sizes, rounded so that the total is exact.

    Source: the layerwise baseline of Zhu and Gupta (2017); they and Evci et al. (2020) leave the first layer dense,
    which is `protect=["first"]` here.

    >>> import torch
    >>> Uniform().counts({"a": torch.zeros(10), "b": torch.zeros(30)}, kept=4)
    {'a': 1, 'b': 3}
    """

    def counts(self, scores: Mapping[str, Tensor], kept: int) -> dict[str, int]:
        """See Allocation.counts."""
        left = require_enough(scores, kept)
        total = sum(score.numel() for score in scores.values())
        return apportion({n: kept * s.numel() / max(total, 1) for n, s in scores.items()}, left, kept)
