"""What is left of each layer: sparsity as bars, multiply-adds before and after as pairs of dots."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from thresher.report.numbers import count, fraction
from thresher.report.svg import ALARM, FIRST, INK, MUTED, SECOND, draw

Layers: TypeAlias = Sequence[Mapping[str, Any]]

_WIDTH = 4.7
_NAME = 26  # letters of a name that leave room for the bars
_LINE = 0.165  # inches that a line of text takes
ALL_NAMED = 40  # layers that can each have a line of text


def sparsity_bars(layers: Layers, overall: float) -> str | None:
    """Sparsity of each layer as horizontal SVG bars with kept counts, the whole as a line; None for no layer."""
    if not layers:
        return None

    def paint(figure: Figure) -> None:
        axes = _rows(figure, layers)
        width = [layer["sparsity"] for layer in layers]
        empty = [layer["kept"] == 0 < layer["total"] for layer in layers]
        axes.barh(
            range(len(layers)),
            width,
            height=0.72,
            color=[ALARM if none else FIRST for none in empty],
            hatch=["////" if none else "" for none in empty],
        )
        beside = axes.secondary_yaxis("right")
        named = _named(layers)
        beside.set_yticks(named, [f"{count(layers[y]['kept'])}" for y in named])
        beside.tick_params(length=0, labelcolor=INK)
        beside.spines["right"].set_visible(False)
        axes.axvline(overall, color=INK, lw=1.0, ls=(0, (4, 2)))
        axes.set_xlim(0, 1)
        axes.set_xlabel("sparsity (fraction removed); kept weights at the right")

    worst = max(layers, key=lambda layer: layer["sparsity"])
    least = min(layers, key=lambda layer: layer["sparsity"])
    label = (
        f"Bar chart of the sparsity of {len(layers)} layers, {fraction(overall)} overall: from "
        f"{fraction(least['sparsity'])} in {least['name']} to {fraction(worst['sparsity'])} in {worst['name']}."
    )
    return draw("sparsity", label, _size(layers), paint)


def mac_pairs(layers: Layers) -> str | None:
    """Dense and kept multiply-adds of each layer on a logarithmic SVG scale; None if no layer has any.

    The line between the two dots is the layer's theoretical speedup. A layer that keeps none ends in a cross
    at the edge, since a logarithm has no place for zero.
    """
    largest = max((layer["dense_macs"] for layer in layers), default=0)
    if largest == 0:
        return None
    smallest = min(n for layer in layers for n in (layer["dense_macs"], layer["kept_macs"]) if n > 0)
    edge = smallest / 2.5

    def paint(figure: Figure) -> None:
        axes = _rows(figure, layers)
        shown = [(y, layer) for y, layer in enumerate(layers) if layer["dense_macs"]]
        reach = [layer["kept_macs"] or edge for _, layer in shown]
        dense = [layer["dense_macs"] for _, layer in shown]
        axes.hlines([y for y, _ in shown], reach, dense, color=MUTED, lw=1.0, zorder=1)
        size = 4.0 if len(layers) <= ALL_NAMED else 2.4
        dots: dict[str, Any] = {"ls": "none", "clip_on": False}
        axes.plot(
            dense, [y for y, _ in shown], "o", mec=SECOND, mfc="none", mew=1.3, label="dense", ms=size * 1.7, **dots
        )
        kept = [(layer["kept_macs"], y) for y, layer in shown if layer["kept_macs"]]
        axes.plot([n for n, _ in kept], [y for _, y in kept], "o", color=FIRST, label="kept", ms=size, **dots)
        none = [y for y, layer in shown if not layer["kept_macs"]]
        if none:
            axes.plot([edge] * len(none), none, "x", color=ALARM, mew=1.6, label="none kept", ms=size * 1.5, **dots)
        axes.set_xscale("log")
        axes.set_xlim(edge / 1.3, largest * 1.6)
        axes.xaxis.set_major_locator(LogLocator(numticks=6))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(_short))
        axes.set_xlabel("multiply-adds for one example")
        axes.grid(axis="x")
        figure.legend(loc="outside upper left", ncols=3, borderpad=0)

    label = (
        f"Dot chart of the multiply-adds of {len(layers)} layers: {count(sum(n['dense_macs'] for n in layers))} "
        f"dense, {count(sum(n['kept_macs'] for n in layers))} kept."
    )
    return draw("macs", label, _size(layers), paint)


def _size(layers: Layers) -> tuple[float, float]:
    return _WIDTH, 0.9 + _pitch(layers) * max(len(layers), 3)


def _pitch(layers: Layers) -> float:
    """Inches from one layer to the next; the whole fits a printed page however many there are."""
    return 0.24 if len(layers) <= ALL_NAMED else min(0.085, 11.0 / len(layers))


def _named(layers: Layers) -> range:
    """The rows that have room for a name: all, or every second, third, …"""
    return range(0, len(layers), math.ceil(_LINE / _pitch(layers)))


def _rows(figure: Figure, layers: Layers) -> Axes:
    axes = figure.subplots()
    named = _named(layers)
    axes.set_yticks(named, [_shortened(str(layers[y]["name"])) for y in named])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_ylim(len(layers) - 0.4, -0.6)
    return axes


def _shortened(name: str) -> str:
    name = name.removesuffix(".weight")
    return name if len(name) <= _NAME else f"{name[: _NAME // 2 - 1]}…{name[-_NAME // 2 :]}"


def _short(value: float, position: int | None) -> str:
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g} {letter}"
    return f"{value:g}"
