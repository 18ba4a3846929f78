"""From real-valued quotas to integer counts with an exact total."""

import math
from collections.abc import Mapping

from torch import Tensor

from thresher.core.errors import ArgumentError


def available(scores: Mapping[str, Tensor]) -> dict[str, int]:
    """How many weights of each tensor are still there: those whose score is not -inf."""
    return {name: int((score != -math.inf).sum()) for name, score in scores.items()}


def require_enough(scores: Mapping[str, Tensor], kept: int) -> dict[str, int]:
    """`available(scores)`; raises ArgumentError unless 0 <= kept <= their sum."""
    left = available(scores)
    if not 0 <= kept <= sum(left.values()):
        raise ArgumentError(f"cannot keep {kept} weights: the tensors to prune have {sum(left.values())} left")
    return left


def apportion(quotas: Mapping[str, float], limits: Mapping[str, int], total: int) -> dict[str, int]:
    """Integer counts near `quotas`, each in [0, limit], that sum to `total` exactly.

    Quotas above their limit are cut to it and the others raised in proportion. Each count is then its quota's
    floor, and what is missing goes one by one to the largest remainders (Hamilton's method), ties to the earlier
    tensor. `total` must not exceed the sum of the limits.

    >>> apportion({"a": 1.5, "b": 1.5, "c": 7.0}, {"a": 9, "b": 9, "c": 6}, total=10)
    {'a': 2, 'b': 2, 'c': 6}
    """
    fitted = _fit(quotas, limits, total)
    counts = {name: min(math.floor(quota), limits[name]) for name, quota in fitted.items()}
    # sorted() is stable: equal remainders stay in tensor order
    for name in sorted(fitted, key=lambda n: counts[n] - fitted[n]):
        if sum(counts.values()) < total and counts[name] < limits[name]:
            counts[name] += 1
    for name in reversed(fitted):  # only where rounding errors of the quotas themselves left something over
        room = min(limits[name] - counts[name], total - sum(counts.values()))
        counts[name] += max(room, -counts[name])
    return counts


def _fit(quotas: Mapping[str, float], limits: Mapping[str, int], total: int) -> dict[str, float]:
    full: set[str] = set()
    while True:
        free = {name: quota for name, quota in quotas.items() if name not in full}
        budget = total - sum(limits[name] for name in full)
        asked = sum(free.values())
        scale = budget / asked if asked > 0 else 0.0
        over = {name for name, quota in free.items() if quota * scale > limits[name]}
        if not over:
            return {n: float(limits[n]) if n in full else free[n] * scale for n in quotas}
        full |= over
