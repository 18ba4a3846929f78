"""A study's cells as comma-separated values, every number in full."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from thresher.experiments.summary import Summary
from thresher.report.json_table import study_document

_LEFT_OUT = ("recipe", "runs")  # what does not fit a cell of a spreadsheet
_ESTIMATE = ("n", "mean", "deviation", "low", "high", "minimum", "maximum")
_PAIR = ("against", "verdict", *(f"difference.{name}" for name in _ESTIMATE))
_NESTED = {"error": _ESTIMATE, "against_dense": _PAIR, "against_random": _PAIR}


def study_csv(summary: Summary) -> str:
    """One line a cell of `summary`, with the fields of `study_document`, nested ones joined by a dot; None is empty.

    Every study has the same columns, whatever is absent from it.
    """
    cells = study_document(summary)["cells"]
    own = [name for name in cells[0] if name not in _LEFT_OUT]
    names = [f"{name}.{part}" if part else name for name in own for part in _NESTED.get(name, ("",))]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_flat({name: cell[name] for name in own}) for cell in cells)
    return text.getvalue()


def _flat(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        elif value is not None:
            flat[f"{prefix}{name}"] = value
    return flat
