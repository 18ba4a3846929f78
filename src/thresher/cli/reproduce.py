"""`thresher reproduce`: a published table, ours beside theirs."""

import json as json_format
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from thresher.cli import options
from thresher.cli.crew import crew
from thresher.cli.live_table import LiveTable
from thresher.cli.outcome import conclude, resumable
from thresher.cli.output import console, print_json, say
from thresher.cli.reproduction_table import claims_table, footnotes, papers_list, reproduction_table
from thresher.cli.study_queue import study_queue
from thresher.core.errors import ArgumentError
from thresher.core.files import write_text_atomically
from thresher.experiments import Recipe
from thresher.experiments.store import Store
from thresher.experiments.study_run import study_runs
from thresher.experiments.summary import summarize
from thresher.papers import BUDGETS, PAPERS, Budget, published_table, recipes_of
from thresher.papers import reproduce as reproduce_table
from thresher.papers.cost import cost_of
from thresher.papers.published import data_of
from thresher.papers.reproduce import absent_data
from thresher.papers.shortened import shortened_table
from thresher.report.study_page import write_study_report
from thresher.report.study_published import Published
from thresher.training import keep_freed_memory


def _panel(name: str, *flags: str, **settings: Any) -> Any:
    return typer.Option(*flags, rich_help_panel=name, **settings)


def reproduce(
    name: Annotated[str | None, typer.Argument(help="Published table: see --list.", show_default=False)] = None,
    list_: Annotated[bool, _panel("What", "--list", help="The tables there are, and what they cost.")] = False,
    budget: Annotated[
        str, _panel("What", help="smoke: seconds, proves that it runs; quick: minutes; full: as published.")
    ] = "quick",
    steps: Annotated[
        int | None, _panel("What", help="Cut every training of that budget to so many steps.", show_default=False)
    ] = None,
    seeds: Annotated[int | None, _panel("What", help="Seeds from 0 on. Default: the table's, see --list.")] = None,
    only: Annotated[
        list[str] | None, _panel("What", help="Rows or columns by name or pattern; repeatable: 'SNIP*'.")
    ] = None,
    stored: Annotated[
        bool, _panel("What", "--stored", help="Run nothing: what the store holds of it so far. Needs no data.")
    ] = False,
    data_dir: options.DataDir = None,
    no_download: options.NoDownload = False,
    store: options.StorePath = Path("runs"),
    storage: options.Storage = None,
    study: options.StudyName = None,
    workers: options.Workers = 1,
    threads: options.ThreadsOfEach = None,
    device: options.Device = "cpu",
    allow_mixed_code: options.AllowMixedCode = False,
    out: Annotated[Path | None, _panel("Output", help="Folder of the page. Default: reproduced/NAME-BUDGET.")] = None,
    json: options.Json = False,
) -> None:
    """Make a published table again: our numbers beside the printed ones, with an interval and a verdict.

    What is in the store is not run again; stop with Ctrl-C and start again at will. Below the table stand how the
    paper's protocol is read and where ours departs from it. Runs that fail are said on standard error; the exit code
    is 1 only if no number came of any.

    Examples:

    * `thresher reproduce --list`
    * `thresher reproduce thesis/table-3.1 --data-dir ~/data`
    * `thresher reproduce thesis/table-3.1 --budget full --stored`
    * `thresher reproduce thesis/table-4.2 --budget full --steps 1000 --only "ResNet32*"`
    * `thresher reproduce thesis/table-3.1 --budget full --only LeNet-300-100 --seeds 5 --workers 2 --threads 1`
    """
    if list_ or name is None:
        _list(json)
        return
    table = published_table(name)
    if budget not in BUDGETS:
        raise ArgumentError(f"--budget is one of {', '.join(BUDGETS)}: got {budget!r}")
    chosen: Budget = next(known for known in BUDGETS if known == budget)
    label: str = chosen
    if steps is not None:
        table = shortened_table(table, chosen, steps)
        label = f"{chosen}-{steps}it"
    count = table.seeds[chosen] if seeds is None else seeds
    if count < 1:
        raise ArgumentError(f"--seeds is at least 1: got {seeds}")
    recipes = recipes_of(table.selected(only or ()), chosen, count)
    keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
    place = Store.open(store)
    title = study or f"{name}-{label}"
    queue = None
    if stored:
        workers = 1
    elif storage is not None or workers > 1:
        queue = study_queue(storage or place.queue_file, title, say, allow_mixed_code=allow_mixed_code)
        absent = absent_data({name for r in recipes for name in r.data_read}, data_dir, not no_download)
        # before the other workers look for something to do
        queue.enqueue(recipe for recipe in recipes if not absent.keys() & set(recipe.data_read))
    shared = ["--store", str(store), "--study", title, "--device", device]
    shared += ["--allow-mixed-code"] if allow_mixed_code else []
    shared += ["--threads", str(threads)] if threads is not None else []
    shared += ["--data-dir", str(data_dir)] if data_dir is not None else []
    shared += ["--no-download"] if no_download else []
    log = place.path / ".workers.log"
    with resumable(say), LiveTable(recipes, place) as live, crew(workers - 1, shared, log, storage, say):
        found = reproduce_table(
            table,
            budget=chosen,
            seeds=count,
            store=place.path,
            data_dir=data_dir,
            only=only or (),
            queue=queue,
            download=not no_download,
            device=device,
            stored=stored,
            on_event=live.on_event,
            on_progress=live.on_progress,
        )
    document = found.document()
    shown = console(json)
    shown.print(reproduction_table(document))
    if document["claims"]:
        shown.print(claims_table(document))
    page = _write(document, recipes, place, out or Path("reproduced") / f"{name.replace('/', '-')}-{label}")
    for line in (*footnotes(document), f"page: {page}"):
        shown.print(line, markup=False, highlight=False, soft_wrap=True)
    if json:
        print_json({**document, "store": str(place.path), "report": str(page)})
    rows = document["rows"]
    measured = any(row["values"] for row in rows) or not any(row["missing"] for row in rows)
    conclude(study_runs(place, recipes), measured, "`thresher runs rm NAME` lets one be run again", say)


def _write(document: Mapping[str, Any], recipes: Sequence[Recipe], store: Store, folder: Path) -> Path:
    """The page in `folder`, with the same as JSON beside it; reproductions without training have no runs to show."""
    write_text_atomically(folder / "reproduction.json", json_format.dumps(document, allow_nan=False, indent=1) + "\n")
    runs = study_runs(store, recipes)
    summary = summarize(runs) if runs else None
    return write_study_report(folder / "study.html", document["title"], summary, published=Published.of(document))


def _list(as_json: bool) -> None:
    for line in papers_list():
        console(as_json).print(line)
    if as_json:
        rows = [
            {
                "name": name,
                "title": paper.title,
                "data": list(data_of(paper.cells, "full")),
                "cost": {
                    budget: vars(cost_of(paper.cells, budget, paper.seeds[budget])) | {"seeds": paper.seeds[budget]}
                    for budget in BUDGETS
                },
            }
            for name, paper in PAPERS.items()
        ]
        print_json({"tables": rows})
