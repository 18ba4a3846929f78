"""n:m: at most n of every m neighbouring weights."""

import math
from dataclasses import dataclass

from torch import Tensor

from thresher.core.errors import ArgumentError, NonFiniteError


@dataclass(frozen=True)
class NofM:
    """The best n of every m consecutive weights along `axis`.

    n, m: kept, and out of how many, 0 < n <= m. axis: the dimension of the weight that is cut into groups; the
        default 1 is the input dimension of linear and convolutional weights, where 2:4 hardware has it.

    The density is n/m in every tensor; on the way there (schedules of several rounds) groups keep
    ceil(m · density) weights. Ties go to the lower index (JaxPruner's n:m keeps the higher one). Raises
    ArgumentError for a dimension that m does not divide. Source: Mishra et al. (2021); Zhou et al. (2021).

    >>> import torch
    >>> NofM(2, 4, axis=0).mask(torch.tensor([0.1, 0.4, 0.3, 0.2]), kept=2).tolist()
    [False, True, True, False]
    """

    n: int
    m: int
    axis: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.n, int) or not isinstance(self.m, int) or not 0 < self.n <= self.m:
            raise ArgumentError(f"n:m keeps n of m weights, 0 < n <= m: got {self.n}:{self.m}")

    @property
    def fixed_density(self) -> float:
        """n/m."""
        return self.n / self.m

    def pooled(self, scores: Tensor, name: str = "scores") -> Tensor:
        """The scores themselves: weights of a group are removed one by one."""
        return scores

    def mask(self, scores: Tensor, kept: int, name: str = "scores") -> Tensor:
        """See Pattern.mask; every group keeps the same number, the least that gives at least `kept`."""
        if not -scores.dim() <= self.axis < scores.dim() or scores.shape[self.axis] % self.m:
            raise ArgumentError(
                f"{self.n}:{self.m} along axis {self.axis} does not fit {name} of shape {tuple(scores.shape)}: "
                f"the dimension must be a multiple of {self.m}; protect=['{name}'] leaves it dense"
            )
        if not 0 <= kept <= scores.numel():
            raise ArgumentError(f"kept for {name} is a count in [0, {scores.numel()}]: got {kept}")
        if bool(scores.isnan().any()):
            raise NonFiniteError(f"scores of {name} contain NaN")
        groups = scores.numel() // self.m
        per_group = math.ceil(kept / groups) if groups else 0
        cut = scores.detach().movedim(self.axis, -1)
        rows = cut.reshape(*cut.shape[:-1], cut.shape[-1] // self.m, self.m)
        # rank within the group, the lower index first among equals
        rank = rows.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1, stable=True)
        return (rank < per_group).reshape(cut.shape).movedim(-1, self.axis).contiguous()
