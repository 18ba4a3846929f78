"""Wall time of a stage, as a part of a run's checkpoint."""

from time import perf_counter


class Stopwatch:
    """The seconds spent inside ``with stopwatch:``; a resumed run has those of the run it continues."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._start = 0.0

    def __enter__(self) -> "Stopwatch":
        self._start = perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += perf_counter() - self._start

    def state_dict(self) -> dict[str, float]:
        """The seconds."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Take over the seconds of `state_dict()`."""
        self.seconds = state["seconds"]
