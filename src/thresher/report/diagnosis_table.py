"""A diagnosis as rich tables, for the command line."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from thresher.report.diagnosis_sentences import number, status
from thresher.report.numbers import count, fraction

# key of a network's figures → what it is called
FIGURES = {
    "jacobian_singular_mean": "Jacobian singular values, mean",
    "jacobian_singular_std": "deviation",
    "jacobian_singular_max": "largest",
    "jacobian_singular_min": "smallest",
    "condition_number": "condition number, largest / smallest",
    "orthogonality_score": "orthogonality score, mean over layers",
    "orthogonality_floor": "least that the mask allows",
    "first_order_decrease": "loss lost in a first step / learning rate",
}
_ESTIMATE = "≈ estimate: too large a Jacobian to be decomposed"


def networks(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What was measured, by name: dense (where known), pruned, repaired (where asked)."""
    found = {"dense": report["dense"], "pruned": report, "repaired": report["repaired"]}
    return {name: figures for name, figures in found.items() if figures is not None}


def measured(report: Mapping[str, Any]) -> dict[str, str]:
    """The rows of `FIGURES` but for the first step's where there were no labels to take a loss of."""
    return {key: what for key, what in FIGURES.items() if key != "first_order_decrease" or report[key] is not None}


def diagnosis_table(report: Mapping[str, Any]) -> Table:
    """One row a figure, one column a network: dense, pruned, repaired.

    >>> figures = {**dict.fromkeys(FIGURES, 1.0), "jacobian_exact": True}
    >>> diagnosis_table({**figures, "dense": figures, "repaired": None}).row_count
    8
    """
    compared = networks(report)
    table = Table(box=box.SIMPLE)
    table.add_column("")
    for name in compared:
        table.add_column(name, justify="right", no_wrap=True)
    for key, what in measured(report).items():
        spectral = key.startswith("jacobian") or key == "condition_number"
        table.add_row(what, *[_marked(f[key], f["jacobian_exact"] or not spectral) for f in compared.values()])
    if not all(figures["jacobian_exact"] for figures in compared.values()):
        table.caption = _ESTIMATE
    return table


def layer_diagnosis_table(report: Mapping[str, Any]) -> Table:
    """One row a layer: kept weights, units on a path, mean singular value of its own Jacobian before and after repair.

    Layers that do not work are red and say why. Estimates are marked ≈. Whole numbers at 80 columns; long names fold.
    """
    table = Table(box=box.SIMPLE)
    table.add_column("layer", overflow="fold")
    shown = ("jacobian", "jacobian_repaired") if report["repaired"] else ("jacobian",)
    for heading in ("kept", "sparsity", "units alive", "singular\nvalue", "repaired")[: 3 + len(shown)]:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in report["layers"]:
        word = status(row)
        table.add_row(
            Text(row["name"]),
            count(row["kept"]),
            fraction(row["sparsity"]),
            f"{count(row['live_units'])} of {count(row['units'])}",
            *[_marked(row[key]["mean"], row[key]["exact"]) if row[key] else "–" for key in shown],
            word,
            style={"empty": "red", "dead": "red", "starved": "yellow"}.get(word),
        )
    if not all(row[key]["exact"] for row in report["layers"] for key in shown if row[key]):
        table.caption = _ESTIMATE
    return table


def _marked(value: float | None, exact: bool) -> str:
    return number(value) if exact else f"≈{number(value)}"
