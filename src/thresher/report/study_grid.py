"""The tables of a study before any format: methods down, sparsities across, one grid a model and data set."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from thresher.experiments.interval import Estimate
from thresher.experiments.paired import Comparison
from thresher.experiments.summary import Block, Cell, Summary
from thresher.report.numbers import share

Baseline = Literal["dense", "random"]

_CHOSEN = {
    "test_error_final_pct": "Test error in % after the last step",
    "test_error_at_best_validation_pct": "Test error in % at the lowest validation error",
    "test_error_best_pct": "Lowest test error in %, chosen on the test set",
}


@dataclass(frozen=True)
class Entry:
    """One place of a grid. `word`: what a difference shows; `strong`: to be bold; `flagged`: a note is below.

    counted: False where all entries of the grid have as many values, which is said once.
    """

    estimate: Estimate | None
    num_runs: int
    strong: bool = False
    flagged: bool = False
    word: str = ""
    signed: bool = False
    counted: bool = True

    @property
    def mean(self) -> str:
        """The mean with two decimals, or a dash."""
        if self.estimate is None:
            return "–"
        return f"{self.estimate.mean:{'+' if self.signed else ''}.2f}".replace("-", "−")

    @property
    def half_width(self) -> str:
        """Half of the interval with two decimals, or nothing where there is none."""
        half = self.estimate and self.estimate.half_width
        return "" if half is None else f"{half:.2f}"

    @property
    def count(self) -> str:
        """How many values are in the mean and, if others are missing from it, of how many; nothing if not counted."""
        if not self.counted:
            return ""
        n = self.estimate.n if self.estimate else 0
        return f"({n})" if n == self.num_runs else f"({n} of {self.num_runs})"

    @property
    def text(self) -> str:
        """All of it in one line.

        >>> Entry(Estimate(3, 12.3, 2.0, 4.97, 10.0, 14.0), 4, flagged=True).text
        '12.30 ± 4.97 (3 of 4)†'
        """
        spread = f"{self.mean} ± {self.half_width}" if self.half_width else self.mean
        return " ".join(part for part in (spread, self.count, self.word) if part) + ("†" if self.flagged else "")


@dataclass(frozen=True)
class Grid:
    """A table: `rows` are labels with one entry (or none) for each of `columns`; `notes` go below it."""

    title: str
    measured: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Entry | None, ...]], ...]
    notes: tuple[str, ...]


def error_grids(summary: Summary) -> list[Grid]:
    """A grid of mean errors for each block of `summary`."""
    return [_error_grid(block, summary) for block in summary.blocks]


def difference_grids(summary: Summary, baseline: Baseline) -> list[Grid]:
    """A grid of paired differences to `baseline` for each block that has any."""
    grids = []
    for block in summary.blocks:
        entries = {_place(cell): _difference(cell, pair) for cell in block.cells if (pair := _pair(cell, baseline))}
        if entries:
            kind = "dense" if baseline == "dense" else "random pruning of the same sparsity"
            columns = [sparsity for sparsity in block.sparsities if sparsity]
            rows, counts = _counted(_rows(block.labels, columns, entries))
            spread = f"{_interval(summary)}{counts}"
            measured = f"{_CHOSEN[summary.measure]}: difference to {kind}, seed by seed {spread}; − is better"
            grids.append(Grid(_title(block), measured, _headings(columns), rows, (comparisons_note(summary),)))
    return grids


def comparisons_note(summary: Summary) -> str:
    """What many comparisons do to the meaning of each."""
    k, level = summary.num_comparisons, 1.0 - summary.confidence
    return (
        f"{k} differences were tested one by one, each at {_level(summary)}: if nothing differed, about "
        f"{k * level:.2g} of them would still read better or worse."
    )


def best_note(summary: Summary) -> str:
    """What bold means."""
    return (
        "Bold: not shown to be worse than the lowest mean of the column, by the paired difference at "
        f"{_level(summary)}; a column where nothing is shown to be worse has no bold."
    )


def troubles(cell: Cell) -> list[str]:
    """What went wrong in `cell`, with counts; failures first.

    They overlap: a collapsed run is often at chance.
    """
    n = len(cell.runs)
    counted = (
        (cell.num_failed - cell.num_diverged, "failed"),
        (cell.num_diverged, "diverged (NaN or infinity)"),
        (cell.num_not_run, "not run"),
        (cell.num_unmeasured, "finished without this error"),
        (cell.num_collapsed, "collapsed (a layer or every path is gone)"),
        (cell.num_at_chance, "learned nothing (error of guessing)"),
    )
    return [f"{count} of {n} {words}" for count, words in counted if count]


def _error_grid(block: Block, summary: Summary) -> Grid:
    entries = {_place(c): Entry(c.error, len(c.runs), c.among_best, bool(troubles(c))) for c in block.cells}
    rows, counts = _counted(_rows(block.labels, block.sparsities, entries))
    notes = [
        f"† {cell.label} at {_heading(cell.recipe.sparsity)}: {'; '.join(troubles(cell))}."
        for cell in block.cells
        if troubles(cell)
    ]
    if any(cell.among_best for cell in block.cells):
        notes.append(best_note(summary))
    if any(cell.error and cell.error.interval is None for cell in block.cells):
        notes.append("Without ±: one run, or runs that are all equal, which give no interval.")
    measured = f"{_CHOSEN[summary.measure]}: mean {_interval(summary)}{counts}"
    return Grid(_title(block), measured, _headings(block.sparsities), rows, tuple(notes))


def _rows(
    labels: Iterable[str], columns: Sequence[float], entries: Mapping[tuple[str, float], Entry]
) -> tuple[tuple[str, tuple[Entry | None, ...]], ...]:
    rows = [(label, tuple(entries.get((label, sparsity)) for sparsity in columns)) for label in labels]
    return tuple((label, row) for label, row in rows if any(row))


def _counted(
    rows: tuple[tuple[str, tuple[Entry | None, ...]], ...],
) -> tuple[tuple[tuple[str, tuple[Entry | None, ...]], ...], str]:
    """The rows, and what their description says of the numbers of values: one for all, or that each has its own."""
    numbers = {(e.estimate.n if e.estimate else 0, e.num_runs) for _, entries in rows for e in entries if e}
    (n, num_runs), *others = numbers
    if others or n != num_runs:
        return rows, " (runs)"
    bare = tuple((label, tuple(e and replace(e, counted=False) for e in entries)) for label, entries in rows)
    return bare, f", {n} run{'' if n == 1 else 's'} each"


def _difference(cell: Cell, pair: Comparison) -> Entry:
    word = "" if pair.verdict == "no difference shown" else pair.verdict
    return Entry(pair.difference, len(cell.runs), word == "better", word=word, signed=True)


def _pair(cell: Cell, baseline: Baseline) -> Comparison | None:
    return cell.against_dense if baseline == "dense" else cell.against_random


def _place(cell: Cell) -> tuple[str, float]:
    return cell.label, cell.recipe.sparsity


def _headings(sparsities: Sequence[float]) -> tuple[str, ...]:
    return tuple(_heading(sparsity) for sparsity in sparsities)


def _heading(sparsity: float) -> str:
    return share(sparsity).replace(".0 %", " %") if sparsity else "dense"


def _interval(summary: Summary) -> str:
    return f"± half of its {_level(summary)} interval"


def _level(summary: Summary) -> str:
    return f"{100.0 * summary.confidence:g} %"


def _title(block: Block) -> str:
    return f"{block.model} on {block.data}"
