"""What a schedule is: sparsity against progress."""

from typing import Protocol

from thresher.core.errors import ArgumentError


class Schedule(Protocol):
    """How sparse the network is after a share of the rounds."""

    @property
    def rounds(self) -> int:
        """In how many rounds the final sparsity is reached, at least 1."""
        ...

    def at(self, progress: float, final: float) -> float:
        """Sparsity at `progress` in [0, 1]; 0 at the start, `final` at the end, never falling in between."""
        ...


def check_rounds(rounds: int) -> None:
    """Raise ArgumentError unless `rounds` is a positive whole number."""
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
        raise ArgumentError(f"rounds is a whole number, 1 or more: got {rounds!r}")


def check_progress(progress: float) -> None:
    """Raise ArgumentError unless `progress` is in [0, 1]."""
    if not 0.0 <= progress <= 1.0:
        raise ArgumentError(f"progress is in [0, 1]: got {progress}")
