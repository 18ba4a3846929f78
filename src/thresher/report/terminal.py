"""A result as rich tables, for the command line."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from thresher.report.numbers import count, duration, error_rate, fraction, share, times
from thresher.report.sentences import engine_line


def result_table(result: Mapping[str, Any]) -> Table:
    """Two columns, what and how much, of a result.json's object; every number says how it was chosen.

    >>> from rich.console import Console
    >>> row = {"test_error_final_pct": 1.7, "test_error_best_pct": 1.6, "test_error_at_best_validation_pct": None}
    >>> cost = {"parameters": 10, "compression_ratio": 5.0, "theoretical_speedup": 4.0}
    >>> table = result_table({"run": "a", "sparsity": 0.8, "kept": 2, "prunable": 10, "engine": "masked",
    ...     "steps": 3, "seconds_per_step": 0.001, "seconds": 2.0, "cost": cost, **row})
    >>> table.row_count
    9
    """
    error = result["test_error_at_best_validation_pct"]
    cost = result["cost"]
    rows = [
        ("test error at the end", error_rate(result["test_error_final_pct"])),
        ("best test error", f"{error_rate(result['test_error_best_pct'])} (chosen on the test set)"),
        (
            "test error at the best validation error",
            "no validation set was held out" if error is None else error_rate(error),
        ),
        (
            "sparsity",
            f"{fraction(result['sparsity'])} ({count(result['kept'])} of {count(result['prunable'])} weights kept, "
            f"{share(result['sparsity'])} removed)",
        ),
        ("compression ratio", times(cost["compression_ratio"])),
        ("theoretical speedup", f"{times(cost['theoretical_speedup'])} (multiply-adds, not a measured time)"),
        ("engine", engine_line(result)),
        ("time per training step", duration(result["seconds_per_step"])),
        ("the whole run", f"{duration(result['seconds'])}, {count(result['steps'])} steps"),
    ]
    table = Table(box=box.SIMPLE, show_header=False, title=Text(result["run"]), title_justify="left")
    table.add_column(style="dim")
    table.add_column()
    for name, value in rows:
        table.add_row(name, Text(value))
    return table


def layer_table(layers: Sequence[Mapping[str, Any]]) -> Table:
    """One row a layer: name, shape, kept of total weights, sparsity, kept of dense multiply-adds.

    Layers that keep nothing are red and say so.

    >>> layer_table([{"name": "fc", "shape": [2, 5], "total": 10, "kept": 0, "sparsity": 1.0, "dense_macs": 10,
    ...     "kept_macs": 0}]).row_count
    1
    """
    table = Table(box=box.SIMPLE)
    table.add_column("layer", overflow="fold")
    table.add_column("shape")
    for heading in ("kept", "weights", "sparsity", "kept MACs", "dense MACs"):
        table.add_column(heading, justify="right")
    for layer in layers:
        empty = layer["total"] > 0 and layer["kept"] == 0
        table.add_row(
            Text(layer["name"]),
            "×".join(map(str, layer["shape"])),
            "none" if empty else count(layer["kept"]),
            count(layer["total"]),
            fraction(layer["sparsity"]),
            count(layer["kept_macs"]),
            count(layer["dense_macs"]),
            style="red" if empty else None,
        )
    return table
