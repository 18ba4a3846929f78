"""Reproduce: a published table in; its missing points run, ours beside theirs out."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from thresher.core.errors import ArgumentError, DataError, ThresherError
from thresher.data import load
from thresher.experiments import Recipe
from thresher.experiments.queue import Queue
from thresher.experiments.store import Store
from thresher.experiments.study_run import StudyRun
from thresher.experiments.worker import WorkEvent
from thresher.papers.published import BUDGETS, Budget, Cell, Computed, PublishedTable, Trained, data_of
from thresher.papers.reproduction import Reproduction, Row, judged, row_of
from thresher.papers.run_missing import run_missing
from thresher.training import Progress

_LACKING = "not in the store"


def reproduce(
    table: PublishedTable,
    *,
    budget: Budget = "quick",
    seeds: int | None = None,
    store: Path | str = "runs",
    data_dir: Path | str | None = None,
    only: Sequence[str] = (),
    queue: Queue | None = None,
    download: bool = True,
    device: torch.device | str = "cpu",
    stored: bool = False,
    on_event: Callable[[WorkEvent], None] = lambda event: None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Reproduction:
    """`table` at `budget` with `seeds` seeds (default: the table's own), what `store` lacks of it run there first.

    Finished runs are not repeated and unfinished ones continue, so that after a kill the same call goes on.
    only: patterns of rows, columns or "row / column". queue: for workers on several machines, see `run_missing`.
    stored: run and compute nothing, so that no data are needed; what `store` lacks is missing.
    A run that fails is counted and the others go on; a data set that is not there leaves its cells not run.
    Raises ArgumentError for an unknown budget, less than one seed, or a pattern that matches nothing; StoreError if
    `store` is no store; and what `run_missing` raises.
    """
    if budget not in BUDGETS:
        raise ArgumentError(f"budget is one of {', '.join(BUDGETS)}: got {budget!r}")
    count = table.seeds[budget] if seeds is None else seeds
    if count < 1:
        raise ArgumentError(f"seeds is at least 1: got {seeds}")
    cells = table.selected(only)
    opened = Store.open(store)
    absent = {} if stored else absent_data(data_of(cells, budget), data_dir, download)
    if not stored:
        run_missing(
            [recipe for recipe in recipes_of(cells, budget, count) if not absent.keys() & set(recipe.data_read)],
            opened,
            queue,
            data_dir=data_dir,
            device=device,
            download=download,
            on_event=on_event,
            on_progress=on_progress,
        )
    numbers = _Numbers(opened, budget, absent, data_dir, download, stored)
    rows = tuple(numbers.row(cell, range(count)) for cell in cells)
    chosen = {(cell.row, cell.column) for cell in cells}
    claims = [claim for claim in table.claims if {claim.cell, claim.minus or claim.cell} <= chosen]
    judgements = tuple(judged(claim, rows, budget) for claim in claims)
    return Reproduction(table, budget, count, rows, judgements, absent)


def recipes_of(cells: Iterable[Cell], budget: Budget, seeds: int) -> tuple[Recipe, ...]:
    """Every recipe that `cells` need, once; the first seed of all of them before the second of any.

    So a table that is cut short is whole with fewer seeds.
    """
    works = [cell.work[budget] for cell in cells]
    bases = [work.recipe for work in works if isinstance(work, Trained)]
    return tuple(dict.fromkeys(dataclasses.replace(base, seed=seed) for seed in range(seeds) for base in bases))


@dataclass(frozen=True)
class _Numbers:
    """Reads numbers out of a store, and computes those that need no training unless only what is `stored` counts."""

    store: Store
    budget: Budget
    absent: Mapping[str, str]
    data_dir: Path | str | None
    download: bool
    stored: bool

    def row(self, cell: Cell, seeds: Iterable[int]) -> Row:
        """The row of `cell`: a number, or why there is none, for each of `seeds`."""
        values: dict[int, float] = {}
        missing: dict[int, str] = {}
        collapsed = []
        work = cell.work[self.budget]
        for seed in seeds:
            if isinstance(work, Trained):
                run = self._run(work, seed)
                number = self._trained(work, run)
                collapsed += [seed] if run.collapsed else []
            elif isinstance(work, Computed):
                number = self._computed(work, seed)
            else:
                break
            if isinstance(number, str):
                missing[seed] = number
            else:
                values[seed] = number
        return row_of(cell, self.budget, values, missing, collapsed)

    def _run(self, work: Trained, seed: int) -> StudyRun:
        recipe = dataclasses.replace(work.recipe, seed=seed)
        return StudyRun(recipe, self.store.result(recipe), self.store.failure(recipe), self.store.directory(recipe))

    def _trained(self, work: Trained, run: StudyRun) -> float | str:
        if run.result is None:
            if run.failure is not None:
                return f"{run.failure['type']}: {run.failure['message']}"
            if self.stored:
                return _LACKING
            lacking = [name for name in run.recipe.data_read if name in self.absent]
            return f"no {lacking[0]}" if lacking else "another process is at it"
        number = work.quantity(run.result, _metrics(self.store.directory(run.recipe)))
        return "the run has no such number" if number is None else number

    def _computed(self, work: Computed, seed: int) -> float | str:
        if work.computation.data in self.absent:
            return f"no {work.computation.data}"
        try:
            if self.stored:
                numbers = work.computation.stored(self.store.path, seed)
            else:
                numbers = work.computation.run(self.store.path, seed, self.data_dir, self.download)
        except ThresherError as error:
            return f"{type(error).__name__}: {error}"
        return _LACKING if numbers is None else numbers.get(work.key, work.otherwise)


def _metrics(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def absent_data(names: Iterable[str], data_dir: Path | str | None, download: bool) -> dict[str, str]:
    """Why each data set that cannot be read cannot: asked once, so that not every run looks for it."""
    reasons = {}
    for name in names:
        try:
            load(name, data_dir, download=download)
        except DataError as error:
            reasons[name] = str(error)
    return reasons
