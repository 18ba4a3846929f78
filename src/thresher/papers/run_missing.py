"""The runs that a table still lacks, made one after the other or by the workers of a queue."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from thresher.core.errors import ThresherError
from thresher.experiments import Recipe, run
from thresher.experiments.environment import code_hash
from thresher.experiments.queue import Queue
from thresher.experiments.store import Store
from thresher.experiments.worker import WorkEvent, work
from thresher.training import Interrupted, Progress


def run_missing(
    recipes: Sequence[Recipe],
    store: Store,
    queue: Queue | None = None,
    *,
    data_dir: Path | str | None = None,
    device: torch.device | str = "cpu",
    download: bool = True,
    on_event: Callable[[WorkEvent], None] = lambda event: None,
    on_progress: Callable[[Progress], None] | None = None,
) -> None:
    """Finish every one of `recipes` in `store`, or record there why it failed.

    What is finished is not repeated, nor is what this version of the code has failed at; what was begun continues.
    With `queue` they are added to it and this process works on it beside others, otherwise they run in turn, those
    that another process has in hand left out. The remaining arguments are those of `run`.
    Raises `training.Interrupted` on Ctrl-C once the checkpoint is written, with a queue whatever `work` raises.
    """
    wanted = [recipe for recipe in recipes if store.result(recipe) is None and not _failed_here(store, recipe)]
    if queue is not None:
        queue.enqueue(wanted, again=True)
        work(
            store,
            queue,
            data_dir=data_dir,
            device=device,
            download=download,
            on_event=on_event,
            on_progress=on_progress,
        )
        return
    for place, recipe in enumerate(wanted, 1):
        if store.in_use(recipe):
            continue
        on_event(WorkEvent("started", f"{place} of {len(wanted)}: {recipe.name}", recipe))
        try:
            run(
                recipe,
                store.directory(recipe),
                data_dir=data_dir,
                resume=True,
                device=device,
                download=download,
                on_progress=on_progress,
            )
        except Interrupted:
            raise
        except ThresherError as error:
            store.record_failure(recipe, error)
            on_event(WorkEvent("failed", f"{recipe.name} failed: {error}", recipe))
        else:
            store.clear_failure(recipe)
            on_event(WorkEvent("finished", f"{recipe.name} finished", recipe))


def _failed_here(store: Store, recipe: Recipe) -> bool:
    failure = store.failure(recipe)
    return failure is not None and failure["environment"]["code"] == code_hash()
