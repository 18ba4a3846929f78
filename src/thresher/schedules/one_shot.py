"""One shot: all at once."""

from dataclasses import dataclass

from thresher.schedules.schedule import check_progress


@dataclass(frozen=True)
class OneShot:
    """The final sparsity in a single round.

    Source: Lee et al. (2019), algorithm 1.

    >>> OneShot().rounds, OneShot().at(1.0, 0.9)
    (1, 0.9)
    """

    @property
    def rounds(self) -> int:
        """One."""
        return 1

    def at(self, progress: float, final: float) -> float:
        """`final` from the first moment on."""
        check_progress(progress)
        return final if progress > 0 else 0.0
