"""Unstructured: any weight may go."""

from dataclasses import dataclass

from torch import Tensor

from thresher.core.topk import top_k


@dataclass(frozen=True)
class Unstructured:
    """Exactly `kept` weights, the best ones.

    Source: LeCun, Denker, Solla (1990).

    >>> import torch
    >>> Unstructured().mask(torch.tensor([1.0, 3.0, 2.0]), kept=2).tolist()
    [False, True, True]
    """

    @property
    def fixed_density(self) -> None:
        """None: the count decides."""
        return None

    def pooled(self, scores: Tensor, name: str = "scores") -> Tensor:
        """The scores themselves."""
        return scores

    def mask(self, scores: Tensor, kept: int, name: str = "scores") -> Tensor:
        """See Pattern.mask; the count is exact."""
        return top_k(scores, kept, name)
