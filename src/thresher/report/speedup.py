"""Speedup against sparsity, contender by contender, with the sparsity from which on sparse is faster marked."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from thresher.report.numbers import times
from thresher.report.svg import ALARM, FIRST, INK, MUTED, RULE, SECOND, draw

Document: TypeAlias = Mapping[str, Any]
Row: TypeAlias = Mapping[str, Any]

_COLUMNS = 4
_PANEL = (2.35, 2.1)  # inches
_LOOK: dict[str, dict[str, Any]] = {
    "thresher": {"color": FIRST, "ls": "solid", "marker": "o", "zorder": 4},
    "sparseprop": {"color": SECOND, "ls": (0, (5, 1.5)), "marker": "s"},
    "sparselab": {"color": ALARM, "ls": (0, (3, 1, 1, 1)), "marker": "^"},
    "csr": {"color": MUTED, "ls": (0, (1, 1.2)), "marker": "x"},
    "onnxruntime": {"color": INK, "ls": (0, (8, 2)), "marker": "d"},
}
# a file that stands alone has no page to take its colours from: those of a light one
_COLOURS = {
    "ink": "#1c2024",
    "muted": "#59616a",
    "rule": "#d5d8da",
    "first": "#0a67ac",
    "second": "#c65a00",
    "alarm": "#b0123b",
}


def speedup_figures(document: Document) -> dict[str, str]:
    """File name without ending → SVG document, of what `thresher bench` measured: training, then each inference batch.

    One panel a case: the median over dense on a logarithmic scale with its quartiles, against sparsity spaced by
    the logarithm of what is kept. A line at 1 divides faster from slower; a ring on it is a crossover, with the
    sparsity for Thresher's. Nothing measured beside dense gives no figure. Raises ImportError without
    matplotlib (extra 'report').
    """
    training = [row for row in document["rows"] if row["what"] in ("forward+backward", "step")]
    inference = [row for row in document["rows"] if row["what"] == "inference"]
    groups = {"speedup": ("training", training)} | {
        f"latency-{batch}": (f"inference, batch {batch}", [row for row in inference if row["batch"] == batch])
        for batch in sorted({row["batch"] for row in inference})
    }
    figures = {}
    for stem, (words, rows) in groups.items():
        if any(name in _LOOK for row in rows for name in row["contenders"]):
            figures[stem] = _standing_alone(_figure(stem, words, rows, document["crossovers"]))
    return figures


def _figure(key: str, words: str, rows: Sequence[Row], crossovers: Sequence[Row]) -> str:
    panels: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        panels[row["case"], row["what"], row["batch"]].append(row)
    sparsities = sorted({row["sparsity"] for row in rows})
    columns = min(_COLUMNS, len(panels))
    lines = math.ceil(len(panels) / columns)

    def paint(figure: Figure) -> None:
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flatten()
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        for axes, (panel, its_rows) in zip(grid, panels.items(), strict=False):
            crossings = [c for c in crossovers if (c["case"], c["what"], c["batch"]) == panel]
            _panel(axes, its_rows, crossings)
            # the panels share an axis: the ticks of one are those of all
            axes.set_xticks([_place(sparsity) for sparsity in sparsities], [f"{100 * s:g} %" for s in sparsities])
        for axes in grid[::columns]:
            axes.set_ylabel("times as fast as dense")
        handles = {label: line for axes in grid for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=len(handles), borderpad=0)

    size = (_PANEL[0] * max(columns, 2), _PANEL[1] * lines + 0.6)
    return draw(key, _label(words, panels), size, paint)


def _panel(axes: Axes, rows: Sequence[Row], crossings: Sequence[Row]) -> None:
    axes.axhline(1.0, color=INK, lw=0.9)
    for name, look in _LOOK.items():
        points = sorted(
            (row["sparsity"], row["contenders"][name]["speedup"]) for row in rows if name in row["contenders"]
        )
        if points:
            middle = [s["median"] for _, s in points]
            below = [s["median"] - s["lower_quartile"] for _, s in points]
            above = [s["upper_quartile"] - s["median"] for _, s in points]
            where = [_place(sparsity) for sparsity, _ in points]
            axes.errorbar(where, middle, yerr=[below, above], ms=3.6, elinewidth=0.8, label=name, **look)
    for crossing in crossings:
        name, place = crossing["contender"], _place(crossing["sparsity"])
        if name in _LOOK:
            axes.plot(place, 1.0, "o", mfc="none", mec=_LOOK[name]["color"], ms=8, zorder=5)
        if name == "thresher":  # the others' would lie on one another
            words = f"{100 * crossing['sparsity']:.1f} %"
            axes.annotate(words, (place, 1.0), (0, -14), textcoords="offset points", ha="center", fontsize=9)
    axes.set_title(rows[0]["case"], fontsize=10)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
    axes.grid(axis="y", color=RULE)


def _place(sparsity: float) -> float:
    return -math.log10(1.0 - sparsity)


def _label(words: str, panels: Mapping[tuple[Any, ...], Sequence[Row]]) -> str:
    spans = []
    for (case, *_), rows in panels.items():
        ours = [row["contenders"]["thresher"]["speedup"]["median"] for row in rows if "thresher" in row["contenders"]]
        if ours:
            spans.append(f"{case} from {times(min(ours))} to {times(max(ours))}")
    found = f": Thresher's, {', '.join(spans)}." if spans else "."
    return f"Line charts of the speedup over dense torch against sparsity, {words}, {len(panels)} cases{found}"


def _standing_alone(svg: str) -> str:
    for name, colour in _COLOURS.items():
        svg = svg.replace(f"var(--{name})", colour)
    return svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" style="background: #fdfdfb" ', 1)
