"""`thresher runs`: what is in a store, and what to do with it."""

import csv
import dataclasses
import io
import json as json_format
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from thresher.cli import options
from thresher.cli.output import console, print_json
from thresher.core.errors import ArgumentError
from thresher.core.files import write_text_atomically
from thresher.experiments.run_directory import RunDirectory
from thresher.experiments.store import Store
from thresher.experiments.stored_run import StoredRun
from thresher.report import layer_table, result_table
from thresher.report.numbers import ABSENT, error_rate, share
from thresher.report.tensorboard import export_to_tensorboard

runs = typer.Typer(
    name="runs",
    help="List, show, delete or export the runs of a store.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

_WIDTH = 500  # a name is to be copied: a narrow terminal may wrap its line, the table must not cut it

StorePath = Annotated[Path, typer.Option("--store", help="Folder of runs.")]
RunName = Annotated[str, typer.Argument(help="Name of a run, or as much of it as there is only one of.")]


@runs.command("list")
def list_runs(store: StorePath = Path("runs"), json: options.Json = False) -> None:
    """List every run with its state, and the disk space they take.

    Examples:

    * `thresher runs list`
    * `thresher runs list --store runs/sweep --json`
    """
    stored = Store.open(store, create=False).runs()
    total = sum(run.size for run in stored)
    if json:
        print_json({"store": str(store), "bytes": total, "runs": [_row(run) for run in stored]})
        return
    table = Table(box=box.SIMPLE)
    table.add_column("run", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for heading in ("sparsity", "test error", "started (UTC)", "size"):
        table.add_column(heading, justify="right", no_wrap=True)
    for run in stored:
        table.add_row(
            Text(run.name),
            Text(run.status, style="red" if run.status in ("failed", "unreadable") else ""),
            ABSENT if run.recipe is None else share(run.recipe.sparsity),
            error_rate(run.test_error_pct),
            ABSENT if run.started is None else run.started[:16].replace("T", " "),
            _size(run.size),
        )
    here = console(json)
    here.width = _WIDTH
    here.print(table)
    for run in stored:
        if run.problem is not None:
            here.print(f"{run.name}: {run.problem}", markup=False, highlight=False, soft_wrap=True)
    here.print(f"{_runs(len(stored))}, {_size(total)} in {store}", markup=False, highlight=False, soft_wrap=True)


@runs.command()
def show(name: RunName, store: StorePath = Path("runs"), json: options.Json = False) -> None:
    """Show one run: its result, or how far it got.

    Examples:

    * `thresher runs show digits-lenet-300-100-snip-0.9`
    """
    run = Store.open(store, create=False).find(name)
    result = RunDirectory(run.path).result() if run.status == "finished" else None
    if json:
        print_json({**_row(run), "result": result})
        return
    here = console(json)
    if result is not None:
        here.print(result_table(result))
        here.print(layer_table(result["layers"]))
    lines = [f"{run.name}: {run.status}, {_size(run.size)} in {run.path}"]
    lines += [] if run.problem is None else [run.problem]
    if run.status == "unfinished":
        lines.append(f"thresher train --out {shlex.quote(str(run.path))} --resume goes on with it")
    for line in lines:
        here.print(line, markup=False, highlight=False, soft_wrap=True)


@runs.command()
def rm(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Whole names, or unique beginnings.")],
    store: StorePath = Path("runs"),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: options.Json = False,
) -> None:
    """Delete runs; asks first, and refuses one that is running.

    `thresher compare` and `thresher reproduce`, started again, run them anew; workers alone do not.

    Examples:

    * `thresher runs rm digits-lenet-300-100-snip-0.9-seed0-5b1c63f2 --yes`
    """
    place = Store.open(store, create=False)
    meant = list({run.name: run for run in map(place.find, names)}.values())
    size = sum(run.size for run in meant)
    if not yes:
        listed = ", ".join(run.name for run in meant)
        typer.confirm(f"Delete {_runs(len(meant))} from {store}, {_size(size)}: {listed}?", abort=True, err=True)
    for run in meant:
        place.remove(run.name)
    console(json).print(f"deleted {_runs(len(meant))}, {_size(size)}", highlight=False)
    if json:
        print_json({"deleted": [run.name for run in meant], "bytes": size})


@runs.command()
def export(
    destination: Annotated[Path | None, typer.Argument(help="File to write, .csv or .json: one row per run.")] = None,
    store: StorePath = Path("runs"),
    tensorboard: Annotated[
        Path | None, typer.Option(help="Folder for the learning curves as TensorBoard events, one folder per run.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Write all runs, failed ones too, to a table; or their learning curves for TensorBoard.

    Examples:

    * `thresher runs export runs.csv`
    * `thresher runs export --tensorboard events` and then `tensorboard --logdir events`
    """
    if destination is None and tensorboard is None:
        raise ArgumentError("say where to: a file .csv or .json, or --tensorboard FOLDER")
    if destination is not None and destination.suffix not in (".csv", ".json"):
        raise ArgumentError(f"an export is a .csv or a .json file: got {destination.name!r}")
    stored = Store.open(store, create=False).runs()
    written = []
    if destination is not None:
        rows = [_row(run) | {f"result.{k}": v for k, v in _figures(run).items()} for run in stored]
        text = json_format.dumps(rows, indent=1) + "\n" if destination.suffix == ".json" else _csv(rows)
        written.append(str(write_text_atomically(destination, text)))
    if tensorboard is not None:
        for run in stored:
            if run.recipe is not None:
                export_to_tensorboard(run.path, tensorboard / run.name)
        written.append(str(tensorboard))
    console(json).print(
        f"{_runs(len(stored))} in {' and '.join(written)}", markup=False, highlight=False, soft_wrap=True
    )
    if json:
        print_json({"runs": len(stored), "written": written})


def _row(run: StoredRun) -> dict[str, Any]:
    """The run on one level, as a row of a table has it."""
    recipe = {} if run.recipe is None else dataclasses.asdict(run.recipe)
    own = {
        "name": run.name,
        "path": str(run.path),
        "status": run.status,
        "problem": run.problem,
        "started": run.started,
        "bytes": run.size,
        "code": run.code,
        "test_error_pct": run.test_error_pct,
    }
    return own | {f"recipe.{name}": list(v) if isinstance(v, tuple) else v for name, v in recipe.items()}


def _figures(run: StoredRun) -> dict[str, Any]:
    """What the result of a finished run says in one number or word each."""
    result = (RunDirectory(run.path).result() if run.status == "finished" else None) or {}
    return {name: value for name, value in result.items() if not isinstance(value, list | dict)}


def _csv(rows: Iterable[dict[str, Any]]) -> str:
    rows = list(rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns or ["name"], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: " ".join(map(str, v)) if isinstance(v, list) else v for name, v in row.items()})
    return text.getvalue()


def _runs(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"
