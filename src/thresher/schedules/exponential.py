"""Exponential: every round removes the same fraction of what is left."""

from dataclasses import dataclass

from thresher.schedules.schedule import check_progress, check_rounds


@dataclass(frozen=True)
class Exponential:
    """Density ρ^{k/n} after round k of n, where ρ = 1 - final sparsity.

    Source: Tanaka et al. (2020), algorithm 1, with n = 100.

    >>> round(Exponential(2).at(0.5, 0.99), 6)
    0.9
    """

    rounds: int = 100

    def __post_init__(self) -> None:
        check_rounds(self.rounds)

    def at(self, progress: float, final: float) -> float:
        """1 - (1 - final)^progress."""
        check_progress(progress)
        return final if progress == 1.0 else 1.0 - (1.0 - final) ** progress
