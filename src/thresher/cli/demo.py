"""`thresher demo`: the main job on data that comes with the package."""

from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from thresher.cli import options
from thresher.cli.output import console, print_json, say_if_stale, summary
from thresher.experiments import Recipe, protocol, run
from thresher.report import write_report
from thresher.training import ProgressBar, keep_freed_memory

_METHODS = ("dense", "random", "magnitude", "snip", "grasp", "synflow")
_SPARSITY = 0.97
_SHOWN = "snip"


def demo(
    out: Annotated[Path, typer.Option(help="Where the runs go.")] = Path("runs/demo"),
    seed: Annotated[int, typer.Option(help="Everything random follows from it.")] = 0,
    json: options.Json = False,
) -> None:
    """Prune lenet-300-100 at initialisation by five methods, train each on handwritten digits, compare.

    Takes about a minute and needs no data: 1,797 images of 8 × 8 pixels come with the package.

    Examples:

    * `thresher demo`
    * `thresher demo --seed 1 --out /tmp/demo --json`
    """
    keep_freed_memory()
    torch.set_num_threads(1)  # on layers this small a second thread costs more than it brings
    here = console(as_json=True)
    here.print(
        f"lenet-300-100 on digits (1,797 images of 8 × 8), {_SPARSITY:.0%} of the weights removed before training"
    )
    out = out / f"seed{seed}"
    results = {method: _run(method, out, seed) for method in _METHODS}
    report = write_report(out / _SHOWN)
    if json:
        runs = {method: summary(result, out / method) for method, result in results.items()}
        print_json({"runs": runs, "report": str(report)})
        return
    Console().print(_table(results))
    print("One seed each: differences of less than a percentage point mean nothing here.")
    print(f"report of the {_SHOWN} run: {report.resolve()}")


def _run(method: str, out: Path, seed: int) -> dict[str, Any]:
    pruned: dict[str, Any] = {} if method == "dense" else {"method": method, "sparsity": _SPARSITY}
    recipe = Recipe(**{**protocol("digits"), "data": "digits", "model": "lenet-300-100", "seed": seed, **pruned})
    with ProgressBar(f"{method:>9}") as bar:
        # what an interrupted demo left is continued
        result = run(recipe, out / method, resume=True, on_progress=bar)
    say_if_stale(result)
    write_report(out / method)
    return result


def _table(results: dict[str, dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE)
    table.add_column("method")
    for heading in ("kept", "on a path", "test error", "best*", "MACs", "ms/step"):
        table.add_column(heading, justify="right")
    for method, result in results.items():
        cost = result["cost"]
        table.add_row(
            method,
            f"{result['kept']:,}",
            f"{result['collapse']['effective_kept']:,}",
            f"{result['test_error_final_pct']:.2f} %",
            f"{result['test_error_best_pct']:.2f} %",
            f"{cost['kept_macs'] / cost['dense_macs']:.0%}",
            f"{1000 * result['seconds_per_step']:.2f}",
        )
    table.caption = "* lowest of all evaluations, chosen on the test set"
    return table
