"""Linear: every round removes the same number of weights."""

from dataclasses import dataclass

from thresher.schedules.schedule import check_progress, check_rounds


@dataclass(frozen=True)
class Linear:
    """Sparsity final · k/n after round k of n.

    Source: the linear baseline of Zhu and Gupta (2017).

    >>> Linear(4).at(0.5, 0.9)
    0.45
    """

    rounds: int = 10

    def __post_init__(self) -> None:
        check_rounds(self.rounds)

    def at(self, progress: float, final: float) -> float:
        """final · progress."""
        check_progress(progress)
        return final * progress
