"""`thresher sculpt`: larger networks pruned without labels to the size of a plain one, and which is better."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from thresher.cli import options
from thresher.cli.outcome import conclude
from thresher.cli.output import print_json, say
from thresher.cli.study import Execution, counts, listed, recipe_fields, run_study, study_name
from thresher.core.errors import ArgumentError
from thresher.data import load
from thresher.experiments import sculptures
from thresher.experiments.sculpting import Sculpture, Size, sculpted, size
from thresher.experiments.summary import MEASURES, summarize
from thresher.report.sculpting_grid import sculpting_grid, sculpting_sentences
from thresher.report.study_files import write_study
from thresher.report.terminal_table import study_table


def _panel(name: str, *flags: str, **settings: Any) -> Any:
    return typer.Option(*flags, rich_help_panel=name, **settings)


def sculpt(
    base: Annotated[str, _panel("What", help="The plain model, whose size the others are pruned to.")],
    bulky: Annotated[
        list[str],
        _panel("What", help="Larger ones, with commas between them or repeated: resnet-20-2,resnet-32."),
    ],
    data: Annotated[str, _panel("What", help="A data set.")],
    seeds: Annotated[int, _panel("What", help="Runs of every network, with seeds from 0 on.")] = 3,
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
    out: Annotated[Path | None, _panel("Output", help="Folder of the tables. Default: sculpted/STUDY.")] = None,
    json: options.Json = False,
) -> None:
    """Prune larger networks without labels to the size of a plain one, train all, and say which is better.

    Pruning is by connection sensitivity to the uniform loss before training; --set changes that. Runs are kept and
    gone on with, and pages and tables left, as by `thresher compare`.

    Examples:

    * `thresher sculpt --base mlp-3-relu --bulky lenet-300-100,mlp-7-relu --data mnist --epochs 5`
    * `thresher sculpt --base resnet-20 --bulky resnet-20-2 --bulky resnet-32 --data cifar-10 --set initializer=he`
    """
    if measure not in MEASURES:
        raise ArgumentError(f"--measure is one of {', '.join(MEASURES)}: got {measure!r}")
    models = [name for names in bulky for name in listed(names)]
    fields = recipe_fields(epochs, steps, settings or [])
    splits = load(data, data_dir, download=not no_download)
    form: dict[str, Any] = {"input_shape": splits.input_shape, "num_classes": splits.num_classes}
    recipes = sculptures(base, models, data, seeds, fields, **form)
    sizes = {model: size(model, **form) for model in (base, *models)}
    name = study or study_name("sculpt", recipes)
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
    found = sculpted(summary, base)
    grid = sculpting_grid(summary, found, sizes)
    title = f"{', '.join(models)} sculpted to {base} on {data}"
    page = write_study(out or Path("sculpted") / name, title, summary, notes=sculpting_sentences(grid))
    counted = counts(runs)
    if json:
        networks = [_network(one, sizes) for one in found]
        print_json({"study": name, "store": str(place.path), "page": str(page), **counted, "networks": networks})
    else:
        Console().print(study_table(grid))
        Console().print(f"page, tables and figures: {page}", markup=False, highlight=False, soft_wrap=True)
    conclude(runs, counted["finished"] > 0, "the page says why; --again runs them anew", say)


def _network(one: Sculpture, sizes: dict[str, Size]) -> dict[str, Any]:
    """One network for --json; what has no number is None."""
    recipe, error, pair = one.cell.recipe, one.cell.error, one.against_base
    difference = pair.difference if pair else None
    return {
        "model": recipe.model,
        "method": recipe.method,
        "sparsity": recipe.sparsity,
        "parameters": sizes[recipe.model].parameters,
        "error_mean": error.mean if error else None,
        "error_n": error.n if error else 0,
        "difference_mean": difference.mean if difference else None,
        "difference_interval": difference.interval if difference else None,
        "verdict": pair.verdict if pair else None,
    }
