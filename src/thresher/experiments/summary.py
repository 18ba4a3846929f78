"""Summary of a study: cells over seeds, held against dense and random, with everything that went wrong counted."""

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from thresher.core.errors import ArgumentError
from thresher.experiments.interval import Estimate, estimate
from thresher.experiments.paired import Comparison, compare
from thresher.experiments.recipe import Recipe
from thresher.experiments.study_run import StudyRun
from thresher.experiments.task import same_task

MEASURES = ("test_error_final_pct", "test_error_at_best_validation_pct", "test_error_best_pct")

_PLACE = ("data", "model", "method", "sparsity", "seed")


@dataclass(frozen=True)
class Cell:
    """Recipes that differ in their seeds only, in order of seed.

    `recipe` stands for all of them. `label`: the method, and what else sets the cell apart in its block. `error`:
    None if no run has one. Runs are counted by what went wrong: `num_failed` raised an error, `num_diverged` of
    them since something became NaN or infinite; `num_unmeasured` finished without the error; `num_collapsed` lost
    a layer or every path, `num_at_chance` learned nothing: the errors of both are in the mean as they are.
    `against_dense` and `against_random` are None where the study has no such runs to hold it against.
    `among_best`: no cell of the same column is shown to be better than this one, and some are to be worse.
    """

    recipe: Recipe
    label: str
    runs: tuple[StudyRun, ...]
    error: Estimate | None
    num_failed: int
    num_diverged: int
    num_not_run: int
    num_unmeasured: int
    num_collapsed: int
    num_at_chance: int
    against_dense: Comparison | None = None
    against_random: Comparison | None = None
    among_best: bool = False

    @property
    def num_without_error(self) -> int:
        """Runs that are missing from the mean."""
        return self.num_failed + self.num_not_run + self.num_unmeasured


@dataclass(frozen=True)
class Block:
    """The cells of one model on one data set, in the order in which the study names them."""

    data: str
    model: str
    cells: tuple[Cell, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The rows of its table: dense first."""
        named = dict.fromkeys(cell.label for cell in sorted(self.cells, key=lambda cell: cell.recipe.method != "dense"))
        return tuple(named)

    @property
    def sparsities(self) -> tuple[float, ...]:
        """The columns of its table; 0 is dense."""
        return tuple(sorted({cell.recipe.sparsity for cell in self.cells}))

    def cell(self, label: str, sparsity: float) -> Cell | None:
        """The cell in that row and column, or None."""
        found = (cell for cell in self.cells if (cell.label, cell.recipe.sparsity) == (label, sparsity))
        return next(found, None)


@dataclass(frozen=True)
class Summary:
    """All blocks of a study; `measure` is the field of the results that the errors are."""

    measure: str
    confidence: float
    blocks: tuple[Block, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Those of all blocks."""
        return tuple(cell for block in self.blocks for cell in block.cells)

    @property
    def runs(self) -> tuple[StudyRun, ...]:
        """Those of all cells."""
        return tuple(run for cell in self.cells for run in cell.runs)

    @property
    def num_comparisons(self) -> int:
        """Paired comparisons with dense or random that have an interval: one in twenty errs by chance at 95 %."""
        pairs = [pair for cell in self.cells for pair in (cell.against_dense, cell.against_random)]
        return sum(pair is not None and pair.difference is not None and pair.n > 1 for pair in pairs)


def summarize(runs: Iterable[StudyRun], measure: str = "test_error_final_pct", confidence: float = 0.95) -> Summary:
    """The summary of `runs`, one for each recipe; a recipe that comes twice must not.

    Runs that differ in nothing but the seed are a cell, cells of one data set and model a block. Nothing is left
    out: the error of a run that collapsed or learned nothing counts as it is, a run without an error is counted
    beside the mean.

    A cell is held, seed by seed, against dense and against random pruning of the same sparsity and pattern, trained
    alike; of several such, against the one most like it. Each comparison stands alone at `confidence`: among many,
    some are expected to show a difference where there is none.

    Raises ArgumentError for no runs, the same recipe twice, or a measure that is not one of `MEASURES`;
    MissingExtraError without scipy (extra 'compare'). Cost: comparisons of recipes as the square of the cells of a
    block.
    """
    if measure not in MEASURES:
        raise ArgumentError(f"measure is one of {', '.join(MEASURES)}: got {measure!r}")
    groups: dict[Recipe, list[StudyRun]] = defaultdict(list)
    for run in runs:
        groups[dataclasses.replace(run.recipe, seed=0)].append(run)
    if not groups:
        raise ArgumentError("there is no run to summarize: a study has one recipe at least")
    blocks: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for recipe, members in groups.items():
        blocks[recipe.data, recipe.model].append(_cell(recipe, members, measure, confidence))
    finished = []
    for (data, model), cells in blocks.items():
        compared = _compared(_labelled(cells), measure, confidence)
        finished.append(Block(data, model, _marked(compared, measure, confidence)))
    return Summary(measure, confidence, tuple(finished))


def errors_by_seed(cell: Cell, measure: str) -> dict[int, float]:
    """Seed → error of the runs that have one."""
    found = ((run.recipe.seed, run.error(measure)) for run in cell.runs)
    return {seed: error for seed, error in found if error is not None}


def _cell(recipe: Recipe, members: Sequence[StudyRun], measure: str, confidence: float) -> Cell:
    runs = tuple(sorted(members, key=lambda run: run.recipe.seed))
    for one, next_one in itertools.pairwise(runs):
        if one.recipe == next_one.recipe:
            raise ArgumentError(f"the recipe {one.recipe.name} comes twice: give each run of a study once")
    errors = [error for run in runs if (error := run.error(measure)) is not None]
    states = [run.state for run in runs]
    return Cell(
        recipe=recipe,
        label=recipe.method,
        runs=runs,
        error=estimate(errors, confidence) if errors else None,
        num_failed=states.count("failed"),
        num_diverged=sum(run.diverged for run in runs),
        num_not_run=states.count("not run"),
        num_unmeasured=states.count("finished") - len(errors),
        num_collapsed=sum(run.collapsed for run in runs),
        num_at_chance=sum(run.at_chance(measure) for run in runs),
    )


def _labelled(cells: Sequence[Cell]) -> list[Cell]:
    """`cells` of a block with labels that, beside their sparsities, tell them apart: method, then fields that vary."""
    names = [field.name for field in dataclasses.fields(Recipe) if field.name not in _PLACE]
    varying = [name for name in names if len({getattr(cell.recipe, name) for cell in cells}) > 1]
    labelled = []
    for cell in cells:
        alike = [other.recipe for other in cells if other.recipe.method == cell.recipe.method]
        told = [
            f"{name} {_spelled(getattr(cell.recipe, name))}"
            for name in varying
            if len({getattr(recipe, name) for recipe in alike}) > 1
        ]
        labelled.append(dataclasses.replace(cell, label=", ".join([cell.recipe.method, *told])))
    return labelled


def _spelled(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def _compared(cells: Sequence[Cell], measure: str, confidence: float) -> list[Cell]:
    def against(cell: Cell, method: str, among: Sequence[Cell]) -> Comparison | None:
        others = [other for other in among if other.recipe.method == method and same_task(cell.recipe, other.recipe)]
        if cell.recipe.method == method or not others:
            return None
        nearest = min(others, key=lambda other: len(cell.recipe.differences(other.recipe)))
        return compare(errors_by_seed(cell, measure), errors_by_seed(nearest, measure), nearest.label, confidence)

    compared = []
    for cell in cells:
        dense = against(cell, "dense", cells)
        size = (cell.recipe.sparsity, cell.recipe.pattern)
        random = against(cell, "random", [c for c in cells if (c.recipe.sparsity, c.recipe.pattern) == size])
        compared.append(dataclasses.replace(cell, against_dense=dense, against_random=random))
    return compared


def _marked(cells: Sequence[Cell], measure: str, confidence: float) -> tuple[Cell, ...]:
    """`cells` with those marked that are not shown to be worse than the lowest mean of their column.

    A column in which nothing is shown to be worse has no mark: a winner inside the noise is none.
    """
    best: set[Recipe] = set()
    for sparsity in {cell.recipe.sparsity for cell in cells}:
        column = [cell for cell in cells if cell.recipe.sparsity == sparsity and cell.error]
        if not column:
            continue
        lowest = min(column, key=lambda cell: cell.error.mean if cell.error else 0.0)
        errors = errors_by_seed(lowest, measure)
        held = [
            cell
            for cell in column
            if cell is lowest
            or compare(errors_by_seed(cell, measure), errors, lowest.label, confidence).verdict != "worse"
        ]
        if len(held) < len(column):
            best.update(cell.recipe for cell in held)
    return tuple(dataclasses.replace(cell, among_best=cell.recipe in best) for cell in cells)
