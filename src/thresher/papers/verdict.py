"""Whether our numbers meet a printed one."""

from dataclasses import dataclass
from typing import Literal

from thresher.experiments.interval import Estimate
from thresher.papers.published import Printed

Kind = Literal["within", "outside", "no interval", "not run", "not compared"]


@dataclass(frozen=True)
class Verdict:
    """kind, the same in words, and how far outside: ours minus theirs between the nearest ends, 0 if they meet."""

    kind: Kind
    words: str
    distance: float | None = None


def verdict(printed: Printed, ours: Estimate) -> Verdict:
    """Within if the interval of our mean meets `printed.band`, outside by the gap between them if it does not.

    Without an interval (one seed, or seeds that all gave the same) only the distance of our mean is said.

    >>> from thresher.experiments.interval import estimate
    >>> verdict(Printed(value=1.7, decimals=1), estimate([1.72, 1.90])).words
    'within'
    >>> verdict(Printed(value=1.7, decimals=1), estimate([1.90])).words
    'one seed, no interval: +0.15 off'
    """
    least, most = printed.band
    low, high = ours.interval or (ours.mean, ours.mean)
    distance = low - most if low > most else high - least if high < least else 0.0
    gap = f"{distance:+.{printed.decimals + 1}f}"
    if ours.interval is None:
        why = "one seed" if ours.n == 1 else "all seeds alike"
        return Verdict("no interval", f"{why}, no interval: {f'{gap} off' if distance else 'meets it'}", distance)
    return Verdict("outside", f"outside by {gap}", distance) if distance else Verdict("within", "within", 0.0)
