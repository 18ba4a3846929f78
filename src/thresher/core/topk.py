"""The one exact top-k: kept counts are met exactly and ties go to the lower index."""

from fractions import Fraction
from numbers import Real

import torch
from torch import Tensor

from thresher.core.errors import ArgumentError, NonFiniteError


def check_sparsity(sparsity: float, argument: str = "sparsity") -> float:
    """`sparsity` as a float in [0, 1); raises ArgumentError for anything else, NaN included.

    >>> check_sparsity(0.9)
    0.9
    """
    # `not (a <= x < b)` rather than its negation: NaN fails every comparison
    if isinstance(sparsity, bool) or not isinstance(sparsity, Real) or not 0.0 <= float(sparsity) < 1.0:
        raise ArgumentError(
            f"{argument} is the fraction of weights removed, in [0, 1): got {sparsity!r}"
            + (" (did you mean a percentage / 100?)" if _is_percentage(sparsity) else "")
        )
    return float(sparsity)


def _is_percentage(value: object) -> bool:
    return isinstance(value, Real) and 1.0 < float(value) < 100.0


def kept_count(total: int, sparsity: float) -> int:
    """How many of `total` weights stay at `sparsity`: round((1 - sparsity)·total), half to even.

    The one rounding rule, of the number kept, as in Lee et al. (2019); torch.nn.utils.prune rounds the number
    removed, which is another weight where exactly half of one is left over. Computed on the decimal that
    `sparsity` prints as, so that 0.54 of 225 is the half it looks like.

    >>> kept_count(266200, 0.95), kept_count(225, 0.54), kept_count(7, 0.0)
    (13310, 104, 7)
    """
    return round((1 - Fraction(str(check_sparsity(sparsity)))) * total)


def top_k(scores: Tensor, k: int, name: str = "scores") -> Tensor:
    """Bool tensor shaped like `scores` that is true at exactly `k` largest entries.

    Ties go to the lower flat index. Infinities are ordered as usual. Raises ArgumentError if `k` is not in
    [0, numel] and NonFiniteError if a score is NaN. Cost: O(n), one selection pass and two comparisons.

    >>> import torch
    >>> top_k(torch.tensor([1.0, 3.0, 3.0, 2.0, 3.0]), 2).tolist()
    [False, True, True, False, False]
    """
    n = scores.numel()
    if not 0 <= k <= n:
        raise ArgumentError(f"k for {name} is a count in [0, {n}]: got {k}")
    if bool(scores.isnan().any()):
        raise NonFiniteError(
            f"{int(scores.isnan().sum())} of {n} scores of {name} are NaN: check the loss and the model's weights"
        )
    if k == n:
        return torch.ones_like(scores, dtype=torch.bool)
    if k == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    flat = scores.detach().reshape(-1)
    threshold = flat.kthvalue(n - k + 1).values
    keep = flat > threshold
    missing = k - int(keep.sum())
    ties = (flat == threshold).nonzero().reshape(-1)
    keep[ties[:missing]] = True
    return keep.reshape(scores.shape)
