"""`thresher compare`: methods × sparsities × seeds, run by any number of workers, and what can be said of them."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from thresher.cli import options
from thresher.cli.outcome import conclude
from thresher.cli.output import print_json, say
from thresher.cli.study import Execution, counts, listed, recipe_fields, run_study, study_name
from thresher.core.errors import ArgumentError
from thresher.data import DATASETS
from thresher.experiments import METHODS, Recipe
from thresher.experiments.comparison import comparison
from thresher.experiments.summary import MEASURES, Summary, summarize
from thresher.report.study_files import write_study
from thresher.report.study_grid import error_grids
from thresher.report.terminal_table import study_table

_METHODS = ", ".join(method for method in METHODS if method != "dense")
_MOST_NAMED = 4  # methods that still fit a title


def _panel(name: str, *flags: str, **settings: Any) -> Any:
    return typer.Option(*flags, rich_help_panel=name, **settings)


def compare(
    data: Annotated[str, _panel("What", help=f"Data sets, with commas between them: {', '.join(DATASETS)}.")],
    model: Annotated[str, _panel("What", "--model", "--models", help="Models, with commas between them.")],
    methods: Annotated[str, _panel("What", help=f"With commas between them: {_METHODS}. Dense is always there.")],
    sparsities: Annotated[
        str, _panel("What", "--sparsities", "--sparsity", help="Fractions removed, with commas: 0.9,0.95,0.98.")
    ] = "",
    seeds: Annotated[int, _panel("What", help="Runs of every cell, with seeds from 0 on.")] = 3,
    epochs: options.Epochs = None,
    steps: options.Steps = None,
    settings: options.Settings = None,
    measure: options.Measure = MEASURES[0],
    data_dir: options.DataDir = None,
    no_download: options.NoDownload = False,
    store: options.StorePath = Path("runs"),
    storage: options.Storage = None,
    study: options.StudyName = None,
    workers: options.Workers = 1,
    threads: options.ThreadsOfEach = None,
    device: options.Device = "cpu",
    allow_mixed_code: options.AllowMixedCode = False,
    again: options.Again = False,
    out: Annotated[Path | None, _panel("Output", help="Folder of the tables. Default: compared/STUDY.")] = None,
    json: options.Json = False,
) -> None:
    """Compare methods of pruning, over seeds, with dense and with each other, and say what is not just noise.

    What is in the store is not run again; stop with Ctrl-C and start again at will. Leaves a page, tables as CSV,
    JSON, Markdown and LaTeX, and figures as SVG and PDF. Runs that fail are counted in the table and said on standard
    error; the exit code is 1 only if none finished.

    Examples:

    * `thresher compare --data digits --model lenet-300-100 --methods random,snip --sparsities 0.9,0.98 --seeds 3`
    * `thresher compare --data mnist --model lenet-300-100 --methods random,magnitude,snip,grasp,synflow
      --sparsities 0.9,0.95,0.98 --seeds 5 --workers 2 --threads 1`
    """
    recipes = _recipes(data, model, methods, sparsities, seeds, recipe_fields(epochs, steps, settings or []))
    if measure not in MEASURES:
        raise ArgumentError(f"--measure is one of {', '.join(MEASURES)}: got {measure!r}")
    name = study or study_name("compare", recipes)
    how = Execution(
        store=store,
        storage=storage,
        workers=workers,
        threads=threads,
        device=device,
        data_dir=data_dir,
        no_download=no_download,
        allow_mixed_code=allow_mixed_code,
        again=again,
    )
    place, runs = run_study(name, recipes, how, say)
    summary = summarize(runs, measure)
    page = write_study(out or Path("compared") / name, _title(summary), summary)
    counted = counts(runs)
    if json:
        print_json({"study": name, "store": str(place.path), "page": str(page), **counted})
    else:
        for grid in error_grids(summary):
            Console().print(study_table(grid))
        Console().print(f"page, tables and figures: {page}", markup=False, highlight=False, soft_wrap=True)
    conclude(runs, counted["finished"] > 0, "the page says why; --again runs them anew", say)


def _recipes(
    data: str, models: str, methods: str, sparsities: str, seeds: int, fields: dict[str, Any]
) -> tuple[Recipe, ...]:
    try:
        fractions = [float(text) for text in listed(sparsities)]
    except ValueError:
        raise ArgumentError(f"--sparsities is a list of fractions such as 0.9,0.95: got {sparsities!r}") from None
    return comparison(listed(data), listed(models), listed(methods), fractions, seeds, fields)


def _title(summary: Summary) -> str:
    """The networks, the data, and the methods, or how many, that are held against each other."""
    models, data = (dict.fromkeys(getattr(block, field) for block in summary.blocks) for field in ("model", "data"))
    methods = list(dict.fromkeys(label for block in summary.blocks for label in block.labels if label != "dense"))
    told = f"{len(methods)} methods of pruning" if len(methods) > _MOST_NAMED else ", ".join(methods) or "dense"
    return f"{', '.join(models)} on {', '.join(data)}: {told}"
