"""Median and quartiles of samples, and of ratios within rounds."""

import statistics
from collections.abc import Sequence
from typing import TypedDict


class Spread(TypedDict):
    """Middle half of `count` samples."""

    median: float
    lower_quartile: float
    upper_quartile: float
    count: int


def spread(samples: Sequence[float]) -> Spread:
    """Median and quartiles (of the sample itself: linear between neighbours).

    >>> spread([4.0, 1.0, 2.0, 3.0, 5.0])
    {'median': 3.0, 'lower_quartile': 2.0, 'upper_quartile': 4.0, 'count': 5}
    """
    # quantiles of one sample are refused; of the same one twice they are itself
    several = [*samples, *samples] if len(samples) == 1 else samples
    lower, middle, upper = statistics.quantiles(several, method="inclusive")
    return {"median": middle, "lower_quartile": lower, "upper_quartile": upper, "count": len(samples)}


def ratios(above: Sequence[float], below: Sequence[float]) -> Spread:
    """The spread of above / below, round by round: a slow spell of the machine is in both and cancels.

    >>> ratios([2.0, 20.0, 2.0], [1.0, 10.0, 1.0])["upper_quartile"]
    2.0
    """
    return spread([a / b for a, b in zip(above, below, strict=True)])
