"""`thresher work`: one worker of a study."""

import os
import signal
import threading
from pathlib import Path
from typing import Annotated

import torch
import typer

from thresher.cli import options
from thresher.cli.output import print_json, say
from thresher.cli.study_queue import study_queue
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
    allow_mixed_code: options.AllowMixedCode = False,
    data_dir: options.DataDir = None,
    no_download: options.NoDownload = False,
    device: options.Device = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads.", rich_help_panel="Execution")] = None,
    checkpoint_every: Annotated[
        int, typer.Option(min=1, help="Steps between checkpoints.", rich_help_panel="Execution")
    ] = 1000,
    until_input_ends: Annotated[bool, typer.Option("--until-input-ends", hidden=True)] = False,
    json: options.Json = False,
) -> None:
    """Run the points of a study until none is left; start it as often as you like, on any machine.

    Every point is run once. What a killed worker was at is continued by another from its last checkpoint. Ctrl-C
    saves the training under way and gives its point back. A database that does not answer is asked for a minute at
    the start and for ten in the middle. The exit code is 1 if runs failed under this worker and none finished.

    Examples:

    * `thresher work --study mine --threads 1`
    * `thresher work --store /shared/runs --storage postgresql://me@host/sweeps --study mine`
    """
    keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
    if until_input_ends:
        threading.Thread(target=_stop_when_input_ends, daemon=True).start()

    def tell(event: WorkEvent) -> None:
        say(event.text)

    place = Store.open(store)
    address = storage or place.queue_file
    with study_queue(address, study, say, create=False, grace=grace, allow_mixed_code=allow_mixed_code) as queue:
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
    if done.failed and not done.finished:
        raise typer.Exit(1)


def _stop_when_input_ends() -> None:
    """Stop as on SIGTERM once standard input, a pipe from whoever started this worker, is closed: it is no more."""
    while os.read(0, 1):  # not sys.stdin: its lock, held here, would stop the interpreter from ending
        pass
    os.kill(os.getpid(), signal.SIGTERM)
