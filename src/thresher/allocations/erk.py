"""Erdős–Rényi-Kernel: wide tensors are pruned more than narrow ones."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from thresher.allocations.apportion import apportion, require_enough


@dataclass(frozen=True)
class ERK:
    """Density of tensor l = ε · Σ dims / Π dims, ε such that the total fits; what would exceed 1 is dense.

    Tensors that reach density 1 are fixed there and ε is found anew for the rest, until none exceeds.
    Source: Evci et al. (2020), section 3.1 and appendix; Mocanu et al. (2018) for fully connected layers. The sum
    runs over all dimensions of the weight, kernel included.

    >>> import torch
    >>> shapes = {"fc1": (300, 784), "fc2": (100, 300), "fc3": (10, 100)}
    >>> ERK().counts({n: torch.zeros(s) for n, s in shapes.items()}, kept=26620)
    {'fc1': 18714, 'fc2': 6906, 'fc3': 1000}
    """

    def counts(self, scores: Mapping[str, Tensor], kept: int) -> dict[str, int]:
        """See Allocation.counts."""
        left = require_enough(scores, kept)
        return apportion(_quotas({n: tuple(s.shape) for n, s in scores.items()}, kept), left, kept)


def _quotas(shapes: Mapping[str, tuple[int, ...]], kept: int) -> dict[str, float]:
    sizes = {name: _product(shape) for name, shape in shapes.items()}
    dense: set[str] = set()
    while True:
        free = [name for name in shapes if name not in dense]
        # a density of ε·Σ/Π times Π weights is ε·Σ kept weights: only Σ matters for the share
        shares = {name: sum(shapes[name]) for name in free}
        budget = kept - sum(sizes[name] for name in dense)
        asked = sum(shares.values())
        epsilon = budget / asked if asked else 0.0  # nothing asks: all dense, or scalars
        over = {name for name in free if epsilon * shares[name] > sizes[name]}
        if not over:
            return {n: float(sizes[n]) if n in dense else epsilon * shares[n] for n in shapes}
        dense |= over  # ε only grows from here, so who is over stays over


def _product(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size
