"""Two methods on the same seeds: the difference seed by seed, and whether chance explains it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from thresher.experiments.interval import Estimate, estimate

Verdict = Literal["better", "worse", "no difference shown"]


@dataclass(frozen=True)
class Comparison:
    """One method against another at the seeds that both have; positive differences are larger errors.

    `difference` is None where they share no seed.
    """

    against: str
    difference: Estimate | None

    @property
    def n(self) -> int:
        """Pairs."""
        return self.difference.n if self.difference else 0

    @property
    def verdict(self) -> Verdict:
        """What the interval shows: "better" or "worse" only if all of it lies on that side of zero.

        Without an interval (fewer than two pairs, or differences that are all equal) nothing is shown.
        """
        ends = self.difference.interval if self.difference else None
        if ends is None or ends[0] <= 0.0 <= ends[1]:
            return "no difference shown"
        return "better" if ends[1] < 0.0 else "worse"


def compare(
    errors: Mapping[int, float], others: Mapping[int, float], against: str, confidence: float = 0.95
) -> Comparison:
    """Seed → error, of a method and of the one it is held `against`, as differences pair by pair.

    Equal seeds share the data split, the order of the examples and the initial weights, so that what these do to
    both cancels, and the interval is often much narrower than those of the two means. Seeds at which either has no
    error make no pair: what is compared are the survivors.

    >>> compare({0: 2.0, 1: 3.1, 2: 2.5}, {0: 4.0, 1: 5.0, 2: 4.6, 9: 1.0}, "random").verdict
    'better'
    """
    shared = [seed for seed in errors if seed in others]
    differences = [errors[seed] - others[seed] for seed in shared]
    return Comparison(against, estimate(differences, confidence) if differences else None)
