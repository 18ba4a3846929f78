"""A chart of a study: inline on a page in the page's colours, or SVG and PDF files in those of paper."""

import io
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from thresher.core.files import write_atomically, write_text_atomically
from thresher.report.svg import STYLE, draw

_WIDE = 8.0  # largest / smallest value from which on a linear axis would flatten what is small
# inches: the width of a figure beside another on the page, and across it, so that the text of all is of one size
HALF, WHOLE = 4.7, 9.6
_LEGEND_LINE, _LEGEND_KEY, _LEGEND_POINTS = 0.21, 0.5, 9.0  # the last is that of STYLE
_PLAIN = FuncFormatter(lambda value, position: f"{value:g}")

# name on the page → stand-in of the drawing, colour on paper. The hues are those of Okabe and Ito (2008), darkened
# until each has a contrast of 4 to 1 on white; the page has its own for a dark ground.
_PAGE = {
    "ink": ("#000001", "#1c2024"),
    "muted": ("#000002", "#59616a"),
    "rule": ("#000003", "#d5d8da"),
    "alarm": ("#000006", "#b0123b"),
    "method-0": ("#000010", "#0a67ac"),
    "method-1": ("#000011", "#c65a00"),
    "method-2": ("#000012", "#00785a"),
    "method-3": ("#000013", "#a8438b"),
    "method-4": ("#000014", "#806600"),
    "method-5": ("#000015", "#5b4fc7"),
}
ON_PAGE = {name: stand_in for name, (stand_in, _) in _PAGE.items()}
ON_PAPER = {name: colour for name, (_, colour) in _PAGE.items()}
METHOD_COLOURS = {name: colour for name, colour in ON_PAPER.items() if name.startswith("method-")}

# as many as have no divisor in common with the colours: 30 looks before the first comes again
_MARKERS = ("o", "s", "^", "D", "v")
_DASHES: tuple[Any, ...] = ("solid", (0, (5, 1.5)), (0, (3, 1, 1, 1)), (0, (1, 1.2)), (0, (8, 2)))

Colours = dict[str, str]


@dataclass(frozen=True)
class Chart:
    """Something to paint on an empty figure of `size` (inches); `key` is its own among a page's charts and files.

    `label` is what a screen reader says, `caption` what stands below.
    """

    key: str
    label: str
    caption: str
    size: tuple[float, float]
    paint: Callable[[Figure, Colours], None]

    @property
    def wide(self) -> bool:
        """Whether it takes the width of the page."""
        return self.size[0] > HALF

    def inline(self) -> str:
        """An ``<svg>`` element that takes its colours from the page's CSS variables --ink, --method-0, ….

        Equal charts give equal text, for one version of matplotlib.
        """
        text = draw(self.key, self.label, self.size, lambda figure: self.paint(figure, ON_PAGE))
        for name, stand_in in ON_PAGE.items():
            text = text.replace(stand_in, f"var(--{name})")
        return text

    def write(self, folder: Path) -> tuple[Path, Path]:
        """The paths of `key`.svg and `key`.pdf in `folder`, each standing alone."""
        svg = self.inline()
        for name, colour in ON_PAPER.items():
            svg = svg.replace(f"var(--{name})", colour)
        svg = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" style="background: #fff" ', 1)
        pdf = folder / f"{self.key}.pdf"
        return write_text_atomically(folder / f"{self.key}.svg", svg), write_atomically(pdf, self._write_pdf)

    def _write_pdf(self, path: Path) -> None:
        on_paper = dict(_PAGE.values())
        style = {key: on_paper.get(str(value), value) for key, value in STYLE.items()}
        with matplotlib.style.context(["default", style, {"pdf.fonttype": 42}]):
            figure = Figure(figsize=self.size, layout="constrained")
            self.paint(figure, ON_PAPER)
            buffer = io.BytesIO()
            # no date: equal charts give equal files
            figure.savefig(buffer, format="pdf", metadata={"CreationDate": None})
        path.write_bytes(buffer.getvalue())


def looks(labels: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Label → colour name, marker and dashes, no two alike for the first thirty; dense is ink.

    Colour is never alone in telling two apart.
    """
    methods = [label for label in dict.fromkeys(labels) if label != "dense"]
    found: dict[str, dict[str, Any]] = {"dense": {"color": "ink", "marker": "*", "ls": "solid"}}
    for i, label in enumerate(methods):
        found[label] = {
            "color": f"method-{i % len(METHOD_COLOURS)}",
            "marker": _MARKERS[i % len(_MARKERS)],
            "ls": _DASHES[i % len(_DASHES)],
        }
    return found


def scale_error(axes: Axes, values: Sequence[float]) -> None:
    """Make the vertical axis of `axes` fit errors in percent: from zero, or logarithmic where they differ much."""
    low, high = min(values), max(values)
    if low <= 0.0 or high / low < _WIDE:
        axes.set_ylim(0.0, (high or 1.0) * 1.08)
        return
    axes.set_yscale("log")
    axes.set_ylim(low / 1.3, min(high * 1.2, 104.0))
    _ticks(axes.yaxis, low, high)


def scale_ratio(axes: Axes, values: Sequence[float]) -> None:
    """Make the horizontal axis of `axes` fit ratios: logarithmic, with ticks people can read."""
    low, high = min(values), max(values)
    axes.set_xscale("log")
    axes.set_xlim(low / 1.15, high * 1.15)
    _ticks(axes.xaxis, low, high)


def legend(figure: Figure) -> None:
    """One legend for all axes of `figure`, above them."""
    handles: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            # the bars of an error bar would only hide its marker
            handles[label] = handle[0] if isinstance(handle, ErrorbarContainer) else handle
    columns = _legend_columns(handles, figure.get_figwidth())
    place: dict[str, Any] = {"loc": "outside upper left", "ncols": columns, "columnspacing": 1.2, "borderpad": 0}
    figure.legend(list(handles.values()), list(handles), **place)


def legend_height(labels: Collection[str], width: float) -> float:
    """How many inches the legend takes of a figure of `width`: what its height has to have beside the axes."""
    return _LEGEND_LINE * math.ceil(len(labels) / _legend_columns(labels, width))


def _legend_columns(labels: Collection[str], width: float) -> int:
    """As many columns as have room for their longest labels."""
    widths = [_LEGEND_KEY + TextPath((0, 0), label, size=_LEGEND_POINTS).get_extents().width / 72 for label in labels]
    fitting = (
        columns
        for columns in range(len(widths), 1, -1)
        if sum(max(column) for column in np.array_split(widths, columns)) <= width
    )
    return next(fitting, 1)


def _ticks(axis: Any, low: float, high: float) -> None:
    if high / low < 4.0:
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    else:
        # ticks at 1, 2, 5 read well over two decades and crowd over more
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 300.0 else (1.0,)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(_PLAIN)
