"""Learning curves of a block: test error against epochs, mean and range over seeds, a panel for each sparsity."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from thresher.experiments.study_run import StudyRun
from thresher.experiments.summary import Block
from thresher.report.study_chart import HALF, WHOLE, Chart, Colours, legend, legend_height, scale_error

Looks: TypeAlias = Mapping[str, Mapping[str, Any]]
Curve: TypeAlias = list[tuple[float, list[float]]]

_COLUMNS = 4


def learning_curves(block: Block, looks: Looks) -> Chart | None:
    """Mean test error over seeds at each evaluation with the band from the lowest to the highest seed.

    Read from the metrics.jsonl of the finished runs; dense is in every panel. None if there is none to read.
    """
    curves = {(cell.label, cell.recipe.sparsity): curve for cell in block.cells if (curve := seed_curve(cell.runs))}
    sparsities = sorted({sparsity for _, sparsity in curves if sparsity}) or [0.0] * bool(curves)
    if not sparsities:
        return None
    columns = min(_COLUMNS, len(sparsities))
    lines = math.ceil(len(sparsities) / columns)

    def paint(figure: Figure, colours: Colours) -> None:
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flatten()
        for axes in grid[len(sparsities) :]:
            axes.set_visible(False)
        for axes, sparsity in zip(grid, sparsities, strict=False):
            axes.set_title(f"{100.0 * sparsity:g} %" if sparsity else "dense", fontsize=10)
            axes.grid(axis="y")
            axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], min_n_ticks=2))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
            for label in block.labels:
                curve = curves.get((label, sparsity)) or curves.get((label, 0.0))
                if curve:
                    _line(axes, label, curve, looks[label], colours)
        scale_error(grid[0], [error for curve in curves.values() for _, errors in curve for error in errors])
        for axes in grid[::columns]:
            axes.set_ylabel("test error (%)")
        figure.supxlabel("epoch", fontsize=9)
        legend(figure)

    width = WHOLE if len(sparsities) > 1 else HALF
    size = (width, 2.2 * lines + 0.35 + legend_height({label for label, _ in curves}, width))
    last = ", ".join(
        f"{label} {100.0 * s:g} % {statistics.fmean(curve[-1][1]):.2f}" for (label, s), curve in curves.items()
    )
    title = f"Learning curves of {block.model} on {block.data}; last mean test errors: {last}."
    caption = "Test error at each evaluation: mean over seeds, and the band from the lowest to the highest seed."
    return Chart(f"learning-{block.model}-{block.data}", title, caption, size, paint)


def seed_curve(runs: Sequence[StudyRun]) -> Curve:
    """(epoch, test error of each run) at the epochs where every readable finished run has one, in order."""
    tables = []
    for run in runs:
        if run.state == "finished" and run.directory is not None and (table := _errors(run.directory)):
            tables.append(table)
    if not tables:
        return []
    shared = [epoch for epoch in tables[0] if all(epoch in table for table in tables)]
    return [(epoch, [table[epoch] for table in tables]) for epoch in sorted(shared)]


def _errors(directory: Path) -> dict[float, float]:
    """Epoch → test error where it was measured; nothing for a file that is absent or cut short."""
    try:
        rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        return {row["epoch"]: row["test_error_pct"] for row in rows if row["test_error_pct"] is not None}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _line(axes: Axes, label: str, curve: Curve, look: Mapping[str, Any], colours: Colours) -> None:
    colour = colours[look["color"]]
    epochs = [epoch for epoch, _ in curve]
    axes.fill_between(
        epochs,
        [min(errors) for _, errors in curve],
        [max(errors) for _, errors in curve],
        color=colour,
        alpha=0.15,
        lw=0,
    )
    means = [statistics.fmean(errors) for _, errors in curve]
    # a few markers, so that the lines can be told apart without colour
    every = max(1, len(curve) // 5)
    axes.plot(
        epochs, means, color=colour, ls=look["ls"], marker=look["marker"], ms=3.5, lw=1.3, markevery=every, label=label
    )
