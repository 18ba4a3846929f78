"""A study while it runs: one line a cell with what is done of it, and the time left."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from thresher.experiments import Recipe
from thresher.experiments.store import Store
from thresher.experiments.worker import WorkEvent
from thresher.training import Progress

_REFRESH_SECONDS = 0.5
_COUNT_SECONDS = 5.0


@dataclass
class _Cell:
    done: int = 0
    failed: int = 0
    total: int = 0
    sum: float = 0.0


class LiveTable:
    """Shows, while the ``with`` block runs, how far the `recipes` in `store` are, whoever runs them.

    On a terminal a table that is drawn again and again on standard error; elsewhere each event is a line.
    `on_event` and `on_progress` are the callbacks of `work`.
    """

    def __init__(
        self,
        recipes: Sequence[Recipe],
        store: Store,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._recipes, self._store, self._clock = recipes, store, clock
        self._console = Console(stderr=True) if console is None else console
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._current, self._events = "", 0
        self._begun, self._done_before = 0.0, 0
        self._known: dict[str, tuple[str, float]] = {}  # what is finished or failed stays so
        self._thread = threading.Thread(target=self._keep_drawing, daemon=True)

    def __enter__(self) -> "LiveTable":
        self._begun, self._done_before = self._clock(), self._count()
        if self._console.is_terminal:
            self._live.start()
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._console.is_terminal:
            self._thread.join()
            self._live.stop()

    def on_event(self, event: WorkEvent) -> None:
        """Say what a worker tells; on a terminal only what went wrong, the rest is in the table."""
        with self._lock:
            self._current = event.text if event.kind in ("started", "waiting") else ""
        if event.kind == "failed" or not self._console.is_terminal:
            place = f"[{self._count()}/{len(self._recipes)}] " if event.kind == "finished" else ""
            self._console.print(place + event.text, markup=False, highlight=False, soft_wrap=True)

    def on_progress(self, progress: Progress) -> None:
        """Show how far the run in hand is."""
        with self._lock:
            self._events = 0 if progress.steps == 0 else round(100 * progress.step / progress.steps)

    def _count(self) -> int:
        """How many are finished or failed; reads the files of the others."""
        for recipe in self._recipes:
            if recipe.hash in self._known:
                continue
            result = self._store.result(recipe)
            if result is not None:
                self._known[recipe.hash] = ("finished", result["test_error_final_pct"])
            elif self._store.failure(recipe) is not None and not self._store.in_use(recipe):
                self._known[recipe.hash] = ("failed", float("nan"))
        return len(self._known)

    def _keep_drawing(self) -> None:
        counted = -_COUNT_SECONDS
        while not self._stop.wait(_REFRESH_SECONDS):
            now = self._clock()
            if now - counted >= _COUNT_SECONDS:
                self._count()
                counted = now
            self._live.update(self.drawn(), refresh=True)

    def drawn(self) -> Group:
        """The table and the line below it, as of the last count."""
        cells: dict[tuple[str, str, str], dict[float, _Cell]] = {}
        for recipe in self._recipes:
            row = cells.setdefault((recipe.data, recipe.model, recipe.method), {})
            cell = row.setdefault(recipe.sparsity, _Cell())
            cell.total += 1
            state, error = self._known.get(recipe.hash, ("", 0.0))
            if state == "finished":
                cell.done += 1
                cell.sum += error
            elif state == "failed":
                cell.failed += 1
        sparsities = sorted({recipe.sparsity for recipe in self._recipes})
        table = Table(box=box.SIMPLE)
        table.add_column("")
        for sparsity in sparsities:
            table.add_column("dense" if sparsity == 0 else f"{sparsity:.4g}", justify="right")
        for (data, model, method), row in cells.items():
            shown = [_shown(row.get(sparsity)) for sparsity in sparsities]
            table.add_row(Text(f"{method}, {model} on {data}"), *shown)
        return Group(table, Text(self._line()))

    def _line(self) -> str:
        done, total = len(self._known), len(self._recipes)
        elapsed, here = self._clock() - self._begun, done - self._done_before
        left = f", {_clock(elapsed / here * (total - done))} left" if here else ""
        with self._lock:
            current = f"; {self._current}, {self._events} %" if self._current else ""
        return f"{done} of {total} runs{left}{current}"


def _shown(cell: _Cell | None) -> Text:
    if cell is None:
        return Text("")
    mean = f"{cell.sum / cell.done:.2f} %  " if cell.done else ""
    failed = f", {cell.failed} failed" if cell.failed else ""
    return Text(f"{mean}{cell.done}/{cell.total}{failed}")


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
