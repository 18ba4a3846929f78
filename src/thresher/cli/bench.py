"""`thresher bench`: what sparsity wins in seconds on this machine."""

import json as json_format
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

from thresher.bench import CASES, CONTENDERS, Heat, Plan, selected
from thresher.bench import bench as measure
from thresher.cli import options
from thresher.cli.bench_table import notes, speedup_table
from thresher.cli.output import console, print_json
from thresher.core.errors import ArgumentError, MissingExtraError
from thresher.core.files import write_text_atomically
from thresher.experiments.environment import environment
from thresher.ops import instruction_set
from thresher.training import keep_freed_memory

_INTERRUPTED = 130


def bench(
    only: Annotated[
        list[str] | None, typer.Option(help=f"Case or pattern, repeatable: {', '.join(CASES)}. Default: all.")
    ] = None,
    sparsities: Annotated[str, typer.Option(help="Fractions of the weights removed.")] = "0.8,0.9,0.95,0.98",
    batch: Annotated[int, typer.Option(help="Examples in a training batch.")] = 128,
    repeats: Annotated[int, typer.Option(help="Rounds; each samples every contender once.")] = 11,
    inference: Annotated[bool, typer.Option("--inference", help="Latency of batches of 1 and 32 too.")] = False,
    against: Annotated[
        str | None, typer.Option(help=f"Of {', '.join(CONTENDERS)}. Default: all that are installed.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Three rounds of the small cases: a minute.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads.", rich_help_panel="Execution")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder. Default: runs/bench-DATE-TIME.", rich_help_panel="Output")
    ] = None,
    json: options.Json = False,
) -> None:
    """Time layers and training steps at several sparsities beside dense torch and other sparse libraries.

    All contenders take turns in one process. Those that are not installed are left out; `python -m pydoc
    thresher.bench` says how to install them. The folder gets bench.json, with every sample, and plots of the speedup
    against sparsity. Ctrl-C keeps what has been measured.

    Examples:

    * `thresher bench --quick`
    * `thresher bench --only 'conv-*' --only resnet-20 --sparsities 0.9,0.95 --threads 2 --out runs/convs`
    * `thresher bench --only linear-1024 --inference --against dense,onnxruntime`
    """
    keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
    names = tuple(CASES) if not quick else tuple(name for name, case in CASES.items() if case.quick)
    plan = Plan(
        cases=tuple(selected(only)) if only else names,
        sparsities=_numbers(sparsities),
        batch=batch,
        rounds=3 if quick else repeats,
        inference=inference,
        against=tuple(name.strip() for name in against.split(",")) if against else (),
    )
    out = Path("runs") / f"bench-{datetime.now():%Y%m%d-%H%M%S}" if out is None else out
    document: dict[str, Any] = {}
    where = {**environment(torch.device("cpu")), "instruction_set": instruction_set()}
    try:
        for document in measure(plan, where, _Progress()):
            write_text_atomically(out / "bench.json", json_format.dumps(document, allow_nan=False, indent=1))
    except KeyboardInterrupt:
        if not document:
            raise
    figures = _draw(document, out)
    here = console(json)
    here.print(speedup_table(document))
    for line in [*notes(document), f"results: {out / 'bench.json'}", *figures]:
        here.print(line, markup=False, highlight=False, soft_wrap=True)
    if json:
        print_json({"out": str(out), **_short(document)})
    if not document["complete"]:
        raise typer.Exit(_INTERRUPTED)


class _Progress:
    """A line on standard error before each group of measurements, with the time left at the pace so far."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._start = 0.0

    def __call__(self, done: int, total: int, heat: Heat) -> None:
        self._start = self._start or time.monotonic()
        left = (time.monotonic() - self._start) / done * (total - done) / 60 if done else 0.0
        what = "training" if heat.train else "inference"
        pace = f", about {max(1, round(left))} min left" if done else ""
        self._console.print(
            f"[{done + 1}/{total}] {heat.case} at sparsity {heat.sparsity:g}, {what}, batch {heat.batch}{pace}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(sorted({float(word) for word in text.split(",")}))
    except ValueError:
        raise ArgumentError(f"--sparsities are fractions with commas between, as 0.9,0.95: got {text!r}") from None


def _draw(document: Mapping[str, Any], out: Path) -> list[str]:
    """Write the figures; lines that say where they are, or what to install."""
    try:
        from thresher.report.speedup import speedup_figures
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        return [str(MissingExtraError("the plot", "report"))]
    figures = speedup_figures(document)
    return [f"plot: {write_text_atomically(out / f'{stem}.svg', svg)}" for stem, svg in figures.items()]


def _short(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document without its samples."""
    rows = [
        {**row, "contenders": {n: {k: v for k, v in c.items() if k != "samples"} for n, c in row["contenders"].items()}}
        for row in document["rows"]
    ]
    return {**document, "rows": rows}
