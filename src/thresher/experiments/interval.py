"""The mean of a sample and how far chance may have moved it."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from thresher.core.errors import ArgumentError, MissingExtraError


@dataclass(frozen=True)
class Estimate:
    """A mean of `n` values with what is known about its error; all in the unit of the values.

    `deviation` is that of the sample (n − 1 in the denominator), None for one value. `half_width` is half of the
    interval of the mean at `confidence`, None where there is none: one value says nothing about chance, and values
    that are all equal show how coarsely they were measured, not that nothing varies.
    """

    n: int
    mean: float
    deviation: float | None
    half_width: float | None
    minimum: float
    maximum: float
    confidence: float = 0.95

    @property
    def interval(self) -> tuple[float, float] | None:
        """Lower and upper end of the interval of the mean, or None."""
        return None if self.half_width is None else (self.mean - self.half_width, self.mean + self.half_width)


def estimate(values: Iterable[float], confidence: float = 0.95) -> Estimate:
    """Mean, sample deviation, range, and the Student-t interval of the mean: mean ± t(n − 1) · deviation / √n.

    It is right for values that are independent and roughly normal, as errors over seeds are; for a handful of
    seeds it is wide, as it has to be (Student 1908). Raises ArgumentError for no value, one that is not finite, or a
    confidence outside (0, 1); MissingExtraError without scipy (extra 'compare').

    >>> found = estimate([2.0, 3.0, 4.0])
    >>> found.mean, found.deviation, round(found.half_width, 3)
    (3.0, 1.0, 2.484)
    """
    sample = [float(value) for value in values]
    if not sample or not all(math.isfinite(value) for value in sample):
        raise ArgumentError(f"an estimate needs finite values, at least one: got {sample!r:.200}")
    if not 0.0 < confidence < 1.0:
        raise ArgumentError(f"confidence is a fraction in (0, 1), such as 0.95: got {confidence!r}")
    n = len(sample)
    deviation = statistics.stdev(sample) if n > 1 else None
    half_width = _quantile(confidence, n - 1) * deviation / math.sqrt(n) if deviation else None
    return Estimate(n, statistics.fmean(sample), deviation, half_width, min(sample), max(sample), confidence)


def _quantile(confidence: float, degrees: int) -> float:
    """The t that leaves (1 − confidence) / 2 above it."""
    try:
        from scipy import stats  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "scipy":
            raise
        raise MissingExtraError("an interval", "compare") from None
    return float(stats.t.isf((1.0 - confidence) / 2.0, degrees))
