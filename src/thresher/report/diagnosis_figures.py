"""Where along the depth a network loses its signal: each layer's singular values, activations and gradients."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from thresher.report.diagnosis_sentences import number
from thresher.report.svg import ALARM, FIRST, MUTED, SECOND, draw

_WIDTH, _LINE = 4.7, 0.3


def layer_isometry(report: Mapping[str, Any]) -> str | None:
    """SVG: mean singular value of each layer's Jacobian, before and after repair, on a logarithmic scale; or None."""
    rows = [row for row in report["layers"] if row["jacobian"]]
    values = [row[key]["mean"] for row in rows for key in ("jacobian", "jacobian_repaired") if row[key]]
    positive = [value for value in values if value > 0]
    if not positive:
        return None
    edge = min(*positive, 1.0) / 2.5

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        places = range(len(rows))
        axes.axvline(1.0, color=MUTED, lw=1.0, ls=(0, (4, 2)))
        for key, colour, marker, label in (
            ("jacobian", FIRST, "o", "pruned"),
            ("jacobian_repaired", SECOND, "D", "repaired"),
        ):
            seen = [(row[key]["mean"], y) for y, row in zip(places, rows, strict=True) if row[key]]
            axes.plot(
                [value for value, _ in seen if value > 0],
                [y for value, y in seen if value > 0],
                marker, color=colour, ms=5, label=label if seen else None, clip_on=False,
            )  # fmt: skip
            axes.plot([edge for v, _ in seen if not v], [y for v, y in seen if not v], "x", color=ALARM, clip_on=False)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(left=edge)
        axes.set_yticks(places, [_short(row["name"]) for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(axis="x")
        axes.set_xlabel("mean singular value of the layer (dashed: 1)")
        figure.legend(loc="outside upper left", ncols=2)

    worst = min(rows, key=lambda row: row["jacobian"]["mean"])
    label = (
        f"Mean singular value of the Jacobian of {len(rows)} layers; least in {worst['name']}, "
        f"{number(worst['jacobian']['mean'])}."
    )
    return draw("isometry", label, (_WIDTH, 1.1 + _LINE * len(rows)), paint)


def norms_by_depth(report: Mapping[str, Any]) -> str | None:
    """SVG: sizes of activations and gradients from the first layer to the last, on a logarithmic scale; or None.

    Without labels there are no gradients, and the activations stand alone.
    """
    labelled = report["first_order_decrease"] is not None
    rows = [r for r in report["layers"] if r["activation_norm"] and (r["gradient_norm"] or not labelled)]
    if len(rows) < 2:
        return None

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        depth = range(1, len(rows) + 1)
        axes.plot(depth, [row["activation_norm"] for row in rows], "o-", color=FIRST, ms=4, label="activation")
        if labelled:
            axes.plot(depth, [row["gradient_norm"] for row in rows], "D--", color=SECOND, ms=4, label="gradient")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("layer, from the input")
        axes.set_ylabel("size, mean over examples")
        axes.locator_params(axis="x", integer=True)
        axes.grid(axis="y")
        figure.legend(loc="outside upper left", ncols=2)

    label = (
        f"Sizes over {len(rows)} layers: activations from {number(rows[0]['activation_norm'])} in the first to "
        f"{number(rows[-1]['activation_norm'])} in the last"
    )
    if labelled:
        label += f", gradients from {number(rows[0]['gradient_norm'])} to {number(rows[-1]['gradient_norm'])}"
    return draw("norms", f"{label}.", (_WIDTH, 2.9), paint)


def _short(name: str) -> str:
    return name if len(name) <= 26 else f"…{name[-25:]}"
