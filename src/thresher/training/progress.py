"""A progress bar on standard error, or, where that is no terminal, a plain line now and then."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from thresher.training.metrics import Row

_REDRAW_SECONDS = 0.1
_LINE_SECONDS = 30.0


@dataclass(slots=True)
class Progress:
    """How far training is: `step` of `steps`, `examples` read so far, the loss of the latest batch, the training
    error since the last row, and that row. After a step that is evaluated there are two: before and after it.
    """

    step: int
    steps: int
    examples: int
    loss: float
    error_pct: float
    row: Row | None


class ProgressBar:
    """A callback for `train(on_progress=...)`, to be used in a ``with``: steps and examples a second, time left,
    loss and error.

    Writes to standard error unless a `console` is given. Costs a clock reading per call between redraws.
    """

    def __init__(
        self,
        description: str = "train",
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = Console(stderr=True) if console is None else console
        self._clock = clock
        self._description = description
        self._first: tuple[float, Progress] | None = None
        self._next = 0.0
        self._every = _REDRAW_SECONDS if self._console.is_terminal else _LINE_SECONDS
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
        )
        self._bar = Bar(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task = self._bar.add_task(description, total=None, figures="")

    def __call__(self, progress: Progress) -> None:
        """Show `progress`, unless the last one was shown a moment ago."""
        now = self._clock()
        if self._first is None:
            self._first, self._next = (now, progress), now + self._every
            return
        finished = progress.row is not None and progress.row["step"] == progress.steps
        if now < self._next and not finished:
            return
        self._next = now + self._every
        figures = _figures(*self._first, progress, now)
        if self._console.is_terminal:
            self._bar.update(self._task, completed=progress.step, total=progress.steps, figures=figures)
        else:
            line = f"{self._description}: step {progress.step}/{progress.steps}, {figures}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> "ProgressBar":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


def _figures(start: float, first: Progress, latest: Progress, now: float) -> str:
    steps, examples = latest.step - first.step, latest.examples - first.examples
    seconds = max(now - start, 1e-9)
    left = round((latest.steps - latest.step) * seconds / max(steps, 1))
    row = latest.row
    test = f", test error {row['test_error_pct']:.2f} %" if row and row["test_error_pct"] is not None else ""
    return (
        f"{steps / seconds:,.0f} steps/s, {examples / seconds:,.0f} examples/s, "
        f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02} left, "
        f"loss {latest.loss:.4f}, error {latest.error_pct:.2f} %{test}"
    )
