"""`thresher compare`: methods × sparsities × seeds, run by any number of workers, and what can be said of them."""

import hashlib
import json as json_format
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

from thresher.cli import options
from thresher.cli.crew import crew
from thresher.cli.live_table import LiveTable
from thresher.cli.output import print_json
from thresher.cli.work import quiet_optuna
from thresher.core.errors import ArgumentError
from thresher.experiments import Recipe
from thresher.experiments.comparison import comparison
from thresher.experiments.queue import Queue
from thresher.experiments.store import Store
from thresher.experiments.study_run import StudyRun, study_runs
from thresher.experiments.summary import MEASURES, summarize
from thresher.experiments.worker import work
from thresher.report.study_files import write_study
from thresher.report.study_grid import error_grids
from thresher.report.terminal_table import study_table
from thresher.training import keep_freed_memory


def _panel(name: str, *flags: str, **settings: Any) -> Any:
    return typer.Option(*flags, rich_help_panel=name, **settings)


def compare(
    data: Annotated[str, _panel("What", help="Data sets, with commas between them.")],
    model: Annotated[str, _panel("What", "--model", "--models", help="Models, with commas between them.")],
    methods: Annotated[str, _panel("What", help="random,magnitude,snip,grasp,synflow … Dense is always there.")],
    sparsities: Annotated[str, _panel("What", "--sparsities", "--sparsity", help="0.9,0.95,0.98")] = "",
    seeds: Annotated[int, _panel("What", help="Runs of every cell, with seeds from 0 on.")] = 3,
    epochs: Annotated[int | None, _panel("What", min=1, help="Default: as `thresher train`.")] = None,
    steps: Annotated[int | None, _panel("What", min=1, help="Instead of epochs.")] = None,
    settings: Annotated[
        list[str] | None,
        _panel("What", "--set", help="Any other field of the recipe, FIELD=VALUE; repeatable: learning_rate=0.05."),
    ] = None,
    measure: Annotated[str, _panel("What", help=f"Which error: {', '.join(MEASURES)}.")] = MEASURES[0],
    data_dir: options.DataDir = None,
    no_download: options.NoDownload = False,
    store: options.StorePath = Path("runs"),
    storage: options.Storage = None,
    study: Annotated[
        str | None, _panel("Execution", help="Its name, for `thresher work --study`. Default: by its content.")
    ] = None,
    workers: options.Workers = 1,
    threads: options.ThreadsOfEach = None,
    device: options.Device = "cpu",
    allow_mixed_code: Annotated[
        bool, _panel("Execution", "--allow-mixed-code", help="Go on with what another version of the code began.")
    ] = False,
    again: Annotated[bool, _panel("Execution", "--again", help="Run anew what has failed.")] = False,
    out: Annotated[Path | None, _panel("Output", help="Folder of the tables. Default: compared/STUDY.")] = None,
    json: options.Json = False,
) -> None:
    """Compare methods of pruning, over seeds, with dense and with each other, and say what is not just noise.

    What is in the store is not run again; stop with Ctrl-C and start again at will. Leaves a page, tables as CSV,
    JSON, Markdown and LaTeX, and figures as SVG and PDF.

    Examples:

    * `thresher compare --data digits --model lenet-300-100 --methods random,snip --sparsities 0.9,0.98 --seeds 3`
    * `thresher compare --data mnist --model lenet-300-100 --methods random,magnitude,snip,grasp,synflow
      --sparsities 0.9,0.95,0.98 --seeds 5 --workers 2 --threads 1`
    """
    recipes = _recipes(data, model, methods, sparsities, seeds, _fields(epochs, steps, settings or []))
    if measure not in MEASURES:
        raise ArgumentError(f"--measure is one of {', '.join(MEASURES)}: got {measure!r}")
    name = study or _name(recipes)
    keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
    here = Console(stderr=True)

    def say(line: str) -> None:
        here.print(line, markup=False, highlight=False, soft_wrap=True)

    place = Store.open(store)
    quiet_optuna()
    queue = Queue(storage or place.queue_file, name, allow_mixed_code=allow_mixed_code, say=say)
    queue.enqueue(recipes)
    # what somebody has deleted, and, where asked, what has failed
    lost = [r for r in recipes if place.result(r) is None and (again or place.failure(r) is None)]
    queue.enqueue(lost, again=True)
    shared = ["--store", str(store), "--study", name, "--device", device]
    shared += ["--allow-mixed-code"] if allow_mixed_code else []
    shared += ["--threads", str(threads)] if threads is not None else []
    shared += ["--data-dir", str(data_dir)] if data_dir is not None else []
    shared += ["--no-download"] if no_download else []
    with queue, LiveTable(recipes, place) as table, crew(workers - 1, shared, place.path / ".workers.log", storage):
        work(
            place,
            queue,
            data_dir=data_dir,
            device=device,
            download=not no_download,
            on_event=table.on_event,
            on_progress=table.on_progress,
        )
    runs = study_runs(place, recipes)
    summary = summarize(runs, measure)
    page = write_study(out or Path("compared") / name, f"{methods} on {data}", summary)
    if json:
        print_json({"study": name, "store": str(place.path), "page": str(page), "runs": len(runs), **_counts(runs)})
        return
    for grid in error_grids(summary):
        Console().print(study_table(grid))
    Console().print(f"page, tables and figures: {page}", markup=False, highlight=False, soft_wrap=True)


def _recipes(
    data: str, models: str, methods: str, sparsities: str, seeds: int, fields: dict[str, Any]
) -> tuple[Recipe, ...]:
    try:
        fractions = [float(text) for text in _listed(sparsities)]
    except ValueError:
        raise ArgumentError(f"--sparsities is a list of fractions such as 0.9,0.95: got {sparsities!r}") from None
    return comparison(_listed(data), _listed(models), _listed(methods), fractions, seeds, fields)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _fields(epochs: int | None, steps: int | None, settings: list[str]) -> dict[str, Any]:
    """The recipe fields that the options name."""
    if epochs is not None and steps is not None:
        raise ArgumentError("--epochs and --steps both say how long to train: give one")
    fields: dict[str, Any] = {}
    if epochs is not None or steps is not None:
        fields["budget"] = f"{epochs}ep" if epochs is not None else f"{steps}it"
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ArgumentError(f"--set is written FIELD=VALUE, such as learning_rate=0.05: got {setting!r}")
        fields[name] = _value(value)
    return fields


def _value(text: str) -> Any:
    """Numbers, true, false and null as in JSON; anything else is text."""
    try:
        value = json_format.loads(text)
    except ValueError:
        return text
    return tuple(value) if isinstance(value, list) else value


def _name(recipes: tuple[Recipe, ...]) -> str:
    """A name that the same points always have, seeds aside, so that more seeds go on with the same study."""
    cells = sorted({recipe.hash for recipe in recipes if recipe.seed == 0})
    return "compare-" + hashlib.sha256(" ".join(cells).encode()).hexdigest()[:8]


def _counts(runs: list[StudyRun]) -> dict[str, int]:
    return {
        "finished": sum(run.state == "finished" for run in runs),
        "failed": sum(run.state == "failed" for run in runs),
        "collapsed": sum(run.collapsed for run in runs),
    }
