"""Channel: whole output (or input) channels."""

from dataclasses import dataclass

from torch import Tensor

from thresher.core.errors import ArgumentError
from thresher.patterns.block import Block, Pool


@dataclass(frozen=True)
class Channel:
    """Slices along `axis`, ranked by the mean or the largest score in them; a Block as large as the rest.

    axis: 0 for output channels (filters, neurons), 1 for input channels. The count is met as nearly as whole
    channels allow. Source: Li et al. (2017), with their filter norm replaced by the mean of any criterion.

    >>> import torch
    >>> Channel().mask(torch.tensor([[1.0, 2.0], [3.0, 0.5]]), kept=2).tolist()
    [[False, False], [True, True]]
    """

    axis: int = 0
    pool: Pool = "mean"

    @property
    def fixed_density(self) -> None:
        """None: the count decides."""
        return None

    def pooled(self, scores: Tensor, name: str = "scores") -> Tensor:
        """Every weight with its channel's score."""
        return self._slices(scores, name).pooled(scores, name)

    def mask(self, scores: Tensor, kept: int, name: str = "scores") -> Tensor:
        """See Pattern.mask."""
        return self._slices(scores, name).mask(scores, kept, name)

    def _slices(self, scores: Tensor, name: str) -> Block:
        if not -scores.dim() <= self.axis < scores.dim():
            raise ArgumentError(f"{name} of shape {tuple(scores.shape)} has no axis {self.axis}")
        axis = self.axis % scores.dim()
        return Block(tuple(1 if d == axis else max(1, n) for d, n in enumerate(scores.shape)), self.pool)
