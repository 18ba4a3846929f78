"""Error against sparsity, theoretical speedup and measured speedup: a chart each for one block of a study."""

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from thresher.experiments.interval import Estimate
from thresher.experiments.measured_speedup import measured_speedup
from thresher.experiments.summary import Block, Cell
from thresher.report.study_chart import HALF, Chart, Colours, legend, legend_height, scale_error, scale_ratio

Looks: TypeAlias = Mapping[str, Mapping[str, Any]]

_HEIGHT = 2.95  # of the axes with their labels


@dataclass(frozen=True)
class _Point:
    """Where a cell stands: `x` with the range of its runs, and its error."""

    x: float
    left: float
    right: float
    error: Estimate


def error_against_sparsity(block: Block, looks: Looks, log_density: bool = True) -> Chart | None:
    """Mean errors with their intervals against sparsity, dense as a line across; None if no pruned cell has an error.

    log_density: space sparsities by the logarithm of what is kept; otherwise evenly by what is removed.
    """

    def place(sparsity: float) -> float:
        return -math.log10(1.0 - sparsity) if log_density else sparsity

    span = place(max(block.sparsities)) - place(min((s for s in block.sparsities if s), default=0.0)) or 1.0
    methods = [label for label in block.labels if label != "dense"]
    # side by side, or bars of one sparsity would hide each other
    shifts = {label: 0.016 * span * (i - (len(methods) - 1) / 2) for i, label in enumerate(methods)}
    lines = _lines(
        block,
        lambda cell: [place(cell.recipe.sparsity) + shifts[cell.label]] if cell.recipe.sparsity else [],
    )
    dense = [cell.error for cell in block.cells if cell.recipe.method == "dense" and cell.error]
    sparsities = [sparsity for sparsity in block.sparsities if sparsity]

    def arrange(axes: Axes, colours: Colours) -> None:
        for error in dense:
            low, high = error.interval or (error.mean, error.mean)
            axes.axhspan(low, high, color=colours["ink"], alpha=0.12, lw=0)
            axes.axhline(error.mean, color=colours["ink"], lw=1.0, label="dense", zorder=1)
        axes.xaxis.set_major_locator(FixedLocator([place(sparsity) for sparsity in sparsities]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([f"{100.0 * sparsity:g} %" for sparsity in sparsities])
        axes.set_xlabel("sparsity, spaced by the logarithm of what is kept" if log_density else "sparsity")

    caption = "Mean error against sparsity. Bars: interval of the mean. Line across, with a band: dense."
    if not lines:
        return None
    return _chart("error-sparsity", block, lines, looks, arrange, caption, [error.mean for error in dense])


def error_against_theoretical_speedup(block: Block, looks: Looks) -> Chart | None:
    """Mean errors against the median ratio of multiply-adds over seeds; None if no pruned cell has both."""

    def ratios(cell: Cell) -> list[float]:
        found = [run.result["cost"]["theoretical_speedup"] for run in cell.runs if run.result is not None]
        return [ratio for ratio in found if ratio]

    caption = "Mean error against theoretical speedup, dense over kept multiply-adds: a count, not a measured time."
    return _against_ratio("error-theoretical", block, looks, ratios, "theoretical speedup (times)", caption)


def error_against_measured_speedup(block: Block, looks: Looks) -> Chart | str:
    """Mean errors against the median measured speedup of a training step over seeds, or the line that says why not."""
    runs = [run for cell in block.cells for run in cell.runs if run.result is not None]
    found = {run.recipe: measured_speedup(run, runs) for run in runs}

    def ratios(cell: Cell) -> list[float]:
        return [ratio for run in cell.runs if isinstance(ratio := found.get(run.recipe), float)]

    reasons = sorted({why for why in found.values() if isinstance(why, str)})
    engines = [run.result["engine"] for run in runs if run.result is not None and run.recipe.method != "dense"]
    caption = (
        "Mean error against measured speedup of a training step, over dense runs on the same machine with as many "
        "threads. Bars across: the range over seeds, dense ones held against their median."
    )
    if simulated := engines.count("masked"):
        caption += f" {simulated} of {len(engines)} pruned runs simulated sparsity with dense layers."
    if reasons:
        caption += f" Left out: {'; '.join(reasons)}."
    chart = _against_ratio("error-measured", block, looks, ratios, "measured speedup (times)", caption)
    return chart or f"No measured speedup of {block.model} on {block.data}: {'; '.join(reasons) or 'no pruned run'}."


def _against_ratio(
    key: str, block: Block, looks: Looks, ratios: Callable[[Cell], list[float]], axis: str, caption: str
) -> Chart | None:
    lines = _lines(block, ratios)
    if not any(label != "dense" for label in lines):
        return None

    def arrange(axes: Axes, colours: Colours) -> None:
        points = [point for line in lines.values() for point in line]
        scale_ratio(axes, [end for point in points for end in (point.left, point.right)])
        axes.axvline(1.0, color=colours["muted"], lw=0.8, zorder=0)
        axes.set_xlabel(axis)

    return _chart(key, block, lines, looks, arrange, caption)


def _lines(block: Block, places: Callable[[Cell], list[float]]) -> dict[str, list[_Point]]:
    """Label → its points by sparsity; a cell without an error or a place has none."""
    lines: dict[str, list[_Point]] = {}
    for label in block.labels:
        points = []
        for cell in sorted(block.cells, key=lambda cell: cell.recipe.sparsity):
            if cell.label == label and cell.error and (where := places(cell)):
                points.append(_Point(statistics.median(where), min(where), max(where), cell.error))
        if points:
            lines[label] = points
    return lines


def _chart(
    key: str,
    block: Block,
    lines: Mapping[str, list[_Point]],
    looks: Looks,
    arrange: Callable[[Axes, Colours], None],
    caption: str,
    also: list[float] | None = None,
) -> Chart:
    def paint(figure: Figure, colours: Colours) -> None:
        axes = figure.subplots()
        for label, points in lines.items():
            look = dict(looks[label]) | {"color": colours[looks[label]["color"]]}
            spread = [point.error.half_width or 0.0 for point in points]
            across = [[p.x - p.left for p in points], [p.right - p.x for p in points]]
            means = [point.error.mean for point in points]
            axes.errorbar(
                *([point.x for point in points], means, spread, across if any(map(any, across)) else None),
                **(look | {"ms": 4.5, "elinewidth": 0.9, "capsize": 2.0, "label": label}),
            )
        arrange(axes, colours)
        shown = [point.error.mean for points in lines.values() for point in points]
        scale_error(axes, [*shown, *(also or [])])
        axes.set_ylabel("error (%)")
        axes.grid(axis="y")
        legend(figure)

    spans = [
        f"{label} from {min(p.error.mean for p in points):.2f} to {max(p.error.mean for p in points):.2f} %"
        for label, points in lines.items()
    ]
    size = (HALF, _HEIGHT + legend_height([*lines, *(["dense"] if also else [])], HALF))
    title = f"Chart of the error of {block.model} on {block.data}: {', '.join(spans)}."
    return Chart(f"{key}-{block.model}-{block.data}", title, caption, size, paint)
