"""Where each method prunes: sparsity layer by layer, a panel for each overall sparsity of a block."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thresher.experiments.summary import Block, Cell
from thresher.report.layer_figures import ALL_NAMED
from thresher.report.study_chart import HALF, WHOLE, Chart, Colours, legend, legend_height

Looks: TypeAlias = Mapping[str, Mapping[str, Any]]

_COLUMNS = 4
_EMPTY = 0.35  # decades beyond the sparsest layer where a layer that keeps nothing is drawn
_TICKS = (0.0, 0.9, 0.99, 0.999, 0.9999, 0.99999)
_NAME = 22


def layer_sparsities(block: Block, looks: Looks) -> Chart | None:
    """Mean sparsity over seeds of each layer, by the logarithm of what it keeps; None if no pruned run is finished.

    A layer that some run of the cell left empty is at the right edge, hollow.
    """
    cells = [cell for cell in block.cells if cell.recipe.sparsity and _kept(cell)]
    if not cells:
        return None
    sparsities = sorted({cell.recipe.sparsity for cell in cells})
    names = list(dict.fromkeys(name for cell in cells for name in _kept(cell)))
    densities = [min(kept) for cell in cells for kept in _kept(cell).values() if min(kept) > 0.0]
    edge = -math.log10(min(densities, default=1.0)) + _EMPTY
    columns = min(_COLUMNS, len(sparsities))
    lines = math.ceil(len(sparsities) / columns)
    labels = {cell.label for cell in cells}
    # the methods stand side by side within a layer, for which many layers have no room
    pitch = max(0.34, 0.05 * len(labels)) if len(names) <= ALL_NAMED else 0.09

    def paint(figure: Figure, colours: Colours) -> None:
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flatten()
        for axes in grid[len(sparsities) :]:
            axes.set_visible(False)
        for axes, sparsity in zip(grid, sparsities, strict=False):
            axes.axvline(-math.log10(1.0 - sparsity), color=colours["ink"], lw=0.9, ls=(0, (4, 2)), zorder=0)
            axes.set_title(f"{100.0 * sparsity:g} %", fontsize=10)
            here = [cell for cell in cells if cell.recipe.sparsity == sparsity]
            for i, cell in enumerate(here):
                # side by side, or equal layers would hide each other
                shift = 0.5 * ((i + 0.5) / len(here) - 0.5)
                _points(axes, cell, names, edge, shift, looks[cell.label], colours)
        first = grid[0]
        step = 1 if len(names) <= ALL_NAMED else math.ceil(0.165 / pitch)
        first.set_yticks(range(0, len(names), step), [_shortened(name) for name in names[::step]])
        first.set_ylim(len(names) - 0.5, -0.5)
        first.set_xlim(-0.05, edge + 0.12)
        ticks = [sparsity for sparsity in _TICKS if -math.log10(1.0 - sparsity) < edge]
        first.set_xticks([-math.log10(1.0 - s) for s in ticks], [f"{100.0 * s:g}" for s in ticks])
        for axes in grid:
            axes.tick_params(axis="x", labelsize=8)
            axes.tick_params(axis="y", length=0)
            axes.grid(axis="both")
        figure.supxlabel("sparsity of the layer (%), spaced by the logarithm of what is kept", fontsize=9)
        legend(figure)

    width = WHOLE if len(sparsities) > 1 else HALF
    height = lines * (0.55 + pitch * max(len(names), 3)) + 0.35 + legend_height(labels, width)
    told = ", ".join(f"{100.0 * s:g} %" for s in sparsities)
    label = f"Dot charts of the sparsity of {len(names)} layers of {block.model} on {block.data}, overall {told}."
    caption = (
        "Sparsity of each layer, mean over seeds; dashed, of all together. Hollow at the right edge: emptied in "
        "some run."
    )
    return Chart(f"layers-{block.model}-{block.data}", label, caption, (width, height), paint)


def _points(
    axes: Axes,
    cell: Cell,
    names: Sequence[str],
    edge: float,
    shift: float,
    look: Mapping[str, Any],
    colours: Colours,
) -> None:
    kept = _kept(cell)
    places = [(i, kept[name]) for i, name in enumerate(names) if name in kept]
    colour = colours[look["color"]]
    style: dict[str, Any] = {"ls": "none", "marker": look["marker"], "color": colour, "ms": 4.5, "clip_on": False}
    whole = [(-math.log10(statistics.fmean(some)), i + shift) for i, some in places if min(some) > 0.0]
    gone = [i + shift for i, some in places if min(some) == 0.0]
    # a line without points that is not clipped has no extent, which no layout can work with
    if whole:
        axes.plot([x for x, _ in whole], [y for _, y in whole], label=cell.label, **style)
    if gone:
        axes.plot([edge] * len(gone), gone, **(style | {"mfc": "none", "mew": 1.3}))


def _kept(cell: Cell) -> dict[str, list[float]]:
    """Layer → fraction kept in each finished run."""
    kept: dict[str, list[float]] = {}
    for run in cell.runs:
        for layer in run.result["layers"] if run.result is not None else []:
            if layer["total"]:
                kept.setdefault(layer["name"], []).append(layer["kept"] / layer["total"])
    return kept


def _shortened(name: str) -> str:
    name = name.removesuffix(".weight")
    return name if len(name) <= _NAME else f"{name[: _NAME // 2 - 1]}…{name[-_NAME // 2 :]}"
