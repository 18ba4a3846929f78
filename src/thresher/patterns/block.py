"""Block: rectangles of weights that stay or go together."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from thresher.core.errors import ArgumentError, NonFiniteError

Pool = Literal["mean", "max"]


@dataclass(frozen=True)
class Block:
    """Blocks of `shape` weights, ranked by the mean or the largest score in them.

    shape: extent along the leading dimensions of the weight; dimensions beyond it are taken whole, so (4, 4) on a
        convolution is 4 outputs × 4 inputs × the kernel. Blocks at the far edges may be smaller, and their mean
        is over the weights they have. Weights removed before (score -inf) count neither in a
        block's score nor in its size.

    The count is met as nearly as whole blocks allow, the lower one if two are equally near; ties between blocks go
    to the one met first. Raises ArgumentError if the tensor has fewer dimensions than `shape`.
    Source: Narang, Undersander, Diamos (2017); the pooling is JaxPruner's (Lee et al. 2023).

    >>> Block((2,)).mask(torch.tensor([1.0, 1.0, 5.0, 0.0, 2.0]), kept=3).tolist()
    [False, False, True, True, True]
    """

    shape: tuple[int, ...]
    pool: Pool = "mean"

    def __post_init__(self) -> None:
        if not self.shape or any(not isinstance(side, int) or side < 1 for side in self.shape):
            raise ArgumentError(f"a block has whole, positive sides: got {self.shape}")
        if self.pool not in ("mean", "max"):
            raise ArgumentError(f"pool is 'mean' or 'max': got {self.pool!r}")

    @property
    def fixed_density(self) -> None:
        """None: the count decides."""
        return None

    def pooled(self, scores: Tensor, name: str = "scores") -> Tensor:
        """Every weight with its block's score; removed ones keep their -inf and do not count in it."""
        block = self._block_of_weight(scores, name)
        pooled = self._block_scores(scores, block)[block].view(scores.shape)
        return pooled.masked_fill(scores == -math.inf, -math.inf)

    def mask(self, scores: Tensor, kept: int, name: str = "scores") -> Tensor:
        """See Pattern.mask."""
        if not 0 <= kept <= scores.numel():
            raise ArgumentError(f"kept for {name} is a count in [0, {scores.numel()}]: got {kept}")
        if bool(scores.isnan().any()):
            raise NonFiniteError(f"scores of {name} contain NaN")
        block = self._block_of_weight(scores, name)
        order = self._block_scores(scores, block).argsort(descending=True, stable=True)
        left = (scores.detach().reshape(-1) != -math.inf).to(torch.int64)
        sizes = torch.zeros_like(order).scatter_add_(0, block, left)[order]
        cumulative = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        num_blocks = int((cumulative - kept).abs().argmin())  # argmin takes the first: the lower count
        chosen = torch.zeros(len(order), dtype=torch.bool, device=scores.device)
        chosen[order[:num_blocks]] = True
        return (chosen[block] & left.bool()).view(scores.shape)

    def _block_of_weight(self, scores: Tensor, name: str) -> Tensor:
        if scores.dim() < len(self.shape):
            raise ArgumentError(
                f"blocks of shape {self.shape} do not fit {name} of shape {tuple(scores.shape)}; "
                f"protect=['{name}'] leaves it dense"
            )
        number = torch.zeros((), dtype=torch.int64, device=scores.device)
        for axis, side in enumerate(self.shape):
            length = scores.shape[axis]
            view = [-1 if d == axis else 1 for d in range(scores.dim())]
            place = torch.arange(length, device=scores.device).div(side, rounding_mode="floor").view(view)
            number = number * math.ceil(length / side) + place
        return number.expand(scores.shape).reshape(-1)

    def _block_scores(self, scores: Tensor, block: Tensor) -> Tensor:
        num_blocks = int(block.max()) + 1 if block.numel() else 0
        how: Literal["mean", "amax"] = "mean" if self.pool == "mean" else "amax"
        flat = scores.detach().reshape(-1)
        there = flat != -math.inf
        none_left = scores.new_full((num_blocks,), -math.inf)
        return none_left.scatter_reduce(0, block[there], flat[there], how, include_self=False)
