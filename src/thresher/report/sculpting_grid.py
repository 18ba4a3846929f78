"""The table of a sculpting: networks of one size, the plain one first, with what it is to have been larger."""

from collections.abc import Mapping, Sequence

from thresher.experiments.sculpting import Sculpture, Size
from thresher.experiments.summary import Summary
from thresher.report.numbers import count, share
from thresher.report.study_grid import Entry, Grid, error_grids, troubles


def sculpting_grid(summary: Summary, sculptures: Sequence[Sculpture], sizes: Mapping[str, Size]) -> Grid:
    """A row a network, with its mean error and the difference to the plain one, seed by seed.

    sculptures: of `summary`, the plain one first, as from `sculpted`. sizes: of each model before it is pruned.
    """
    base = sculptures[0].cell.recipe
    rows, notes = [], []
    for sculpture in sculptures:
        cell, pair = sculpture.cell, sculpture.against_base
        model, whole = cell.recipe.model, sizes[cell.recipe.model]
        label = f"{model}, dense"
        if pair is not None:
            label = f"{model}, {share(cell.recipe.sparsity)} of {count(whole.prunable)} weights removed"
        entries: list[Entry | None] = [Entry(cell.error, len(cell.runs), flagged=bool(troubles(cell))), None]
        if pair is not None:
            word = "" if pair.verdict == "no difference shown" else pair.verdict
            entries[1] = Entry(pair.difference, len(cell.runs), word == "better", word=word, signed=True)
        rows.append((label, tuple(entries)))
        notes += [f"† {model}: {'; '.join(troubles(cell))}."] if troubles(cell) else []
    level = f"{100 * summary.confidence:g} %"
    chosen = error_grids(summary)[0].measured.partition(":")[0]
    notes.append(f"Differences seed by seed; a word only where the {level} interval leaves no zero. − is better.")
    return Grid(
        title=f"{count(sizes[base.model].parameters)} parameters each, on {base.data}",
        measured=f"{chosen}: mean ± half of its {level} interval (runs)",
        columns=("error", f"difference to {base.model}"),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def sculpting_sentences(grid: Grid) -> tuple[str, ...]:
    """`grid` in words: the title, what is measured, each row, and the notes."""
    _, against = grid.columns
    said = []
    for label, (error, difference) in grid.rows:
        words = f"{label}: {error.text}" if error else label
        said.append(words + (f", {against} {difference.text}" if difference else "") + ".")
    return (f"{grid.title}.", f"{grid.measured}.", *said, *grid.notes)
