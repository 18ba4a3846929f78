"""What the commands print: tables for people on standard error, one JSON line for machines on standard output."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from thresher.core.errors import ArgumentError
from thresher.experiments.environment import code_hash
from thresher.report import result_table, write_report

_LONG = ("layers", "touches", "environment", "not_measured", "first_layer")


def console(as_json: bool) -> Console:
    """Where people read: standard output, or standard error when machines read standard output."""
    return Console(stderr=as_json)


def say(line: str) -> None:
    """One line for people on standard error, as it is: no markup, no colours, no line breaks of ours."""
    Console(stderr=True).print(line, markup=False, highlight=False, soft_wrap=True)


def print_json(content: Mapping[str, Any]) -> None:
    """One JSON object on one line of standard output."""
    print(json.dumps(content, allow_nan=False))


def summary(result: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """A result without its long lists, with the places of its files."""
    short = {name: value for name, value in result.items() if name not in _LONG}
    return {**short, "out": str(out), "result": str(out / "result.json"), "report": str(out / "report.html")}


def say_if_stale(result: Mapping[str, Any]) -> None:
    """Warn, on standard error, of a stored result that another version of the code made."""
    if result["environment"]["code"] != code_hash():
        Console(stderr=True).print(
            f"thresher: {result['run']} was run by another version of the code, on {result['environment']['started']}: "
            "choose another --out to run it anew",
            style="yellow",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def present(result: Mapping[str, Any], out: Path, as_json: bool) -> None:
    """Write the report of a finished run and print its result."""
    say_if_stale(result)
    report = write_report(out)
    if as_json:
        print_json(summary(result, out))
        return
    here = console(as_json)
    here.print(result_table(result))
    here.print(f"report: {report}", markup=False, highlight=False, soft_wrap=True)


def parse_shape(text: str) -> tuple[int, ...]:
    """The shape that '3x32x32' or '3,32,32' writes; ArgumentError for anything else."""
    try:
        shape = tuple(int(side) for side in text.replace(",", "x").split("x"))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise ArgumentError(f"an input shape is written '3x32x32': got {text!r}")
    return shape
