"""Cubic: fast while there is much to remove, slow towards the end."""

from dataclasses import dataclass

from thresher.schedules.schedule import check_progress, check_rounds


@dataclass(frozen=True)
class Cubic:
    """Sparsity final · (1 - (1 - k/n)³) after round k of n.

    Source: Zhu and Gupta (2017), equation 1, with an initial sparsity of zero.

    >>> Cubic(2).at(0.5, 0.5)
    0.4375
    """

    rounds: int = 10

    def __post_init__(self) -> None:
        check_rounds(self.rounds)

    def at(self, progress: float, final: float) -> float:
        """final · (1 - (1 - progress)³)."""
        check_progress(progress)
        return final * (1.0 - (1.0 - progress) ** 3)
