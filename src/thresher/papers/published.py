"""A published table as data: what it printed, and what here would make each of its numbers."""

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from thresher.core.errors import unknown_name
from thresher.experiments import Recipe
from thresher.papers.computation import Computation

Budget: TypeAlias = Literal["smoke", "quick", "full"]
BUDGETS: tuple[Budget, ...] = get_args(Budget)

# what a finished run says: its result, and the rows of its metrics.jsonl
Quantity: TypeAlias = Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]]], float | None]


def final_test_error(result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Test error after the last step, in percent."""
    error: float | None = result["test_error_final_pct"]
    return error


@dataclass(frozen=True, kw_only=True)
class Printed:
    """A printed number with as many `decimals` as are printed.

    deviation, num_runs: standard deviation over so many runs, None where they are not printed.
    extremes: least and greatest of the runs, where these are what is published; `value` is then their middle.
    """

    value: float
    decimals: int
    deviation: float | None = None
    num_runs: int | None = None
    extremes: tuple[float, float] | None = None

    @property
    def band(self) -> tuple[float, float]:
        """What the number may mean: half its last digit either way, and its standard error where that is known.

        >>> Printed(value=1.7, decimals=1).band
        (1.65, 1.75)
        """
        half = 0.5 * 10.0**-self.decimals
        if self.deviation is not None and self.num_runs is not None:
            half += self.deviation / self.num_runs**0.5
        low, high = self.extremes or (self.value, self.value)
        return low - half, high + half

    def __str__(self) -> str:
        if self.extremes is not None:
            low, high = (f"{end:.{self.decimals}f}" for end in self.extremes)
            return low if low == high else f"{low} to {high}"
        spread = "" if self.deviation is None else f" ± {self.deviation:.{self.decimals}f}"
        return f"{self.value:.{self.decimals}f}{spread}"


@dataclass(frozen=True)
class Trained:
    """A number read off finished runs of `recipe`, whose seed is replaced by those asked for."""

    recipe: Recipe
    quantity: Quantity = final_test_error


@dataclass(frozen=True)
class Computed:
    """The number called `key` that `computation` gives, without training; `otherwise`: what it means if none is."""

    computation: Computation
    key: str
    otherwise: str = "undefined here"


@dataclass(frozen=True)
class NotRun:
    """No number, and why."""

    reason: str


Work: TypeAlias = Trained | Computed | NotRun


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One place of the table: its labels, what is printed there (None: nothing readable), and what makes ours."""

    row: str
    column: str
    work: Mapping[Budget, Work]
    printed: Printed | None = None

    @property
    def label(self) -> str:
        """Row and column in one."""
        return f"{self.row} / {self.column}"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement of the paper as a bound on a cell or, with `minus`, on its difference to another cell by seed.

    Cells are named by (row, column). `text` is the statement; where the paper has no number the bound is ours.
    """

    text: str
    cell: tuple[str, str]
    minus: tuple[str, str] | None = None
    above: float | None = None
    below: float | None = None


@dataclass(frozen=True, kw_only=True)
class PublishedTable:
    """A table or figure: where it was published, how we read its protocol, where we depart from it, its cells.

    measured: what the cells are, with their unit. readings: what the paper leaves open, and how we fill it.
    seeds: how many at each budget unless the caller says so.
    """

    name: str
    title: str
    source: str
    page: str
    measured: str
    readings: tuple[str, ...]
    departures: tuple[str, ...]
    cells: tuple[Cell, ...]
    seeds: Mapping[Budget, int]
    claims: tuple[Claim, ...] = ()

    def cell(self, row: str, column: str) -> Cell:
        """The cell with these labels; UnknownNameError if there is none."""
        for cell in self.cells:
            if (cell.row, cell.column) == (row, column):
                return cell
        raise unknown_name("cell", f"{row} / {column}", [cell.label for cell in self.cells])

    def selected(self, patterns: Sequence[str]) -> tuple[Cell, ...]:
        """The cells whose row, column or label matches one of `patterns`, all of them if there are none.

        Case does not matter. Raises UnknownNameError, with the near miss, for a pattern that matches nothing.
        """
        if not patterns:
            return self.cells
        for pattern in patterns:
            if not any(_matches(cell, pattern) for cell in self.cells):
                known = dict.fromkeys(name for cell in self.cells for name in (cell.row, cell.column))
                raise unknown_name("row or column", pattern, known)
        return tuple(cell for cell in self.cells if any(_matches(cell, pattern) for pattern in patterns))


def _matches(cell: Cell, pattern: str) -> bool:
    return any(fnmatch.fnmatch(name.lower(), pattern.lower()) for name in (cell.row, cell.column, cell.label))


def data_of(cells: Iterable[Cell], budget: Budget) -> tuple[str, ...]:
    """The data sets that `cells` read at `budget`, sorted."""
    works = [cell.work[budget] for cell in cells]
    trained = {name for work in works if isinstance(work, Trained) for name in work.recipe.data_read}
    computed = {work.computation.data for work in works if isinstance(work, Computed)}
    return tuple(sorted(name for name in trained | computed if name))


def everywhere(work: Work) -> dict[Budget, Work]:
    """The same work at every budget."""
    return dict.fromkeys(BUDGETS, work)
