"""Learning curves: error and loss of the training, validation and test sets against epochs."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from thresher.report.svg import FIRST, INK, MUTED, SECOND, draw

Rows: TypeAlias = Sequence[Mapping[str, Any]]
Lines: TypeAlias = dict[str, list[tuple[float, float]]]

_LARGEST = 1e100  # a loss beyond it has left the scale of any axis: drawn as the gap that an infinity leaves
_FEW = 40  # evaluations that can each have a dot
_PLAIN = FuncFormatter(lambda value, position: f"{value:g}")
_WIDE = 8.0  # largest / smallest value from which on a linear axis would flatten the end of training
_LOOK: dict[str, dict[str, Any]] = {
    "train": {"color": MUTED, "ls": (0, (1, 1.2))},
    "validation": {"color": SECOND, "ls": (0, (5, 1.5))},
    "test": {"color": FIRST, "ls": "solid"},
}


def error_curve(rows: Rows, result: Mapping[str, Any]) -> str | None:
    """Error in percent at each evaluation as SVG, the chosen evaluations ringed; None if no value is finite.

    Where a set was not measured the line goes on to the next measurement; where it was NaN or infinite the line
    is broken. A single evaluation was chosen from nothing and has no ring.
    """
    lines = _lines(rows, "error_pct")
    chosen = (
        ("test", result["test_error_best_step"], "o"),
        ("validation", result["validation_error_best_step"], "D"),
    )

    def ring(axes: Axes) -> None:
        epochs = {row["step"]: row["epoch"] for row in rows}
        for split, step, marker in chosen:
            error = dict(lines.get(split, [])).get(epochs.get(step, math.nan), math.nan)
            if len(rows) > 1 and math.isfinite(error):
                axes.plot(epochs[step], error, marker, mfc="none", mec=INK, ms=7.5, mew=1.1, zorder=4)

    return _chart("error", lines, "error (%)", ring) if lines else None


def loss_curve(rows: Rows) -> str | None:
    """Mean loss at each evaluation as SVG, gaps as in `error_curve`; None if no value is finite."""
    lines = _lines(rows, "loss")
    return _chart("loss", lines, "mean loss", lambda axes: None) if lines else None


def _lines(rows: Rows, field: str) -> Lines:
    """Split → (epoch, value) where it was measured, NaN for what no axis holds; splits with no number are out."""
    lines = {}
    for split in _LOOK:
        measured = [(row["epoch"], row[f"{split}_{field}"]) for row in rows if row[f"{split}_{field}"] is not None]
        points = [(x, float(y) if abs(y) < _LARGEST else math.nan) for x, y in measured]
        if any(math.isfinite(y) for _, y in points):
            lines[split] = points
    return lines


def _chart(key: str, lines: Lines, unit: str, add: Callable[[Axes], None]) -> str:
    epochs = {x for points in lines.values() for x, _ in points}

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        dot = "o" if len(epochs) <= _FEW else "none"
        for split, points in lines.items():
            axes.plot([x for x, _ in points], [y for _, y in points], marker=dot, ms=2.6, label=split, **_LOOK[split])
        add(axes)
        _scale(axes, [y for points in lines.values() for _, y in points if math.isfinite(y)])
        if len(epochs) == 1:
            axes.set_xticks(list(epochs))
        else:
            axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(_PLAIN)
        axes.set_xlabel("epoch")
        axes.set_ylabel(unit)
        axes.grid(axis="y")
        figure.legend(loc="outside upper left", ncols=3, handlelength=2.4, columnspacing=1.4, borderpad=0)

    spans = []
    for split, points in lines.items():
        finite = [y for _, y in points if math.isfinite(y)]
        spans.append(f"{split} from {finite[0]:.4g} to {finite[-1]:.4g}")
    label = f"Line chart of the {unit} over {len(epochs)} evaluations: {', '.join(spans)}."
    return draw(key, label, (4.7, 3.1), paint)


def _scale(axes: Axes, values: list[float]) -> None:
    low, high = min(values), max(values)
    if low <= 0 or high / low < _WIDE:
        axes.set_ylim(bottom=min(low, 0.0), top=(high or 1.0) * 1.05)
        return
    axes.set_yscale("log")
    # ticks at 1, 2, 5 read well over two decades and crowd over more
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 300 else (1.0,)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(_PLAIN)
