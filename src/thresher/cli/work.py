"""`thresher work`: one worker of a study."""

from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from thresher.cli import options
from thresher.cli.output import print_json
from thresher.core.errors import MissingExtraError
from thresher.experiments.queue import Queue
from thresher.experiments.store import Store
from thresher.experiments.worker import WorkEvent
from thresher.experiments.worker import work as work_off
from thresher.training import keep_freed_memory


def work(
    store: Annotated[Path, typer.Option(help="Folder of runs, shared by all workers.")] = Path("runs"),
    storage: Annotated[
        str | None,
        typer.Option(
            envvar="THRESHER_STORAGE",
            help="postgresql://USER:PASSWORD@HOST/DATABASE, for workers on several machines. Default: a file in "
            "--store, for workers on this one.",
        ),
    ] = None,
    study: Annotated[str, typer.Option(help="Which study of those in the storage.")] = "study",
    grace: Annotated[
        int, typer.Option(min=2, help="Seconds after which a worker that is not heard of counts as dead.")
    ] = 120,
    allow_mixed_code: Annotated[
        bool, typer.Option("--allow-mixed-code", help="Join a study begun by another version of the code.")
    ] = False,
    data_dir: options.DataDir = None,
    no_download: options.NoDownload = False,
    device: options.Device = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads.", rich_help_panel="Execution")] = None,
    checkpoint_every: Annotated[
        int, typer.Option(min=1, help="Steps between checkpoints.", rich_help_panel="Execution")
    ] = 1000,
    json: options.Json = False,
) -> None:
    """Run the points of a study until none is left; start it as often as you like, on any machine.

    Every point is run once. What a killed worker was at is continued by another from its last checkpoint. Ctrl-C
    saves the training under way and gives its point back.

    Examples:

    * `thresher work --study mine --threads 1`
    * `thresher work --store /shared/runs --storage postgresql://me@host/sweeps --study mine`
    """
    keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
    here = Console(stderr=True)

    def say(line: str) -> None:
        here.print(line, markup=False, highlight=False, soft_wrap=True)

    def tell(event: WorkEvent) -> None:
        say(event.text)

    place = Store.open(store)
    quiet_optuna()
    address = storage or place.queue_file
    with Queue(address, study, create=False, grace=grace, allow_mixed_code=allow_mixed_code, say=say) as queue:
        done = work_off(
            place,
            queue,
            data_dir=data_dir,
            device=device,
            download=not no_download,
            checkpoint_every=checkpoint_every,
            on_event=tell,
        )
    say(f"study '{study}' in {queue.address}: this worker finished {done.finished}, {done.failed} failed; none is left")
    if json:
        print_json({"study": study, "store": str(place.path), "finished": done.finished, "failed": done.failed})


def quiet_optuna() -> None:
    """Keep Optuna from telling of every study it opens."""
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise MissingExtraError("a queue of runs", "compare") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
