"""Worker: takes points from a queue and runs them into a store, until there is none left."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from thresher.core.errors import (
    DataError,
    MissingExtraError,
    RunDirectoryError,
    RunInUseError,
    StoreError,
    ThresherError,
)
from thresher.experiments.queue import Claim, Queue
from thresher.experiments.recipe import Recipe
from thresher.experiments.run import run, usable_device
from thresher.experiments.store import Store
from thresher.training import Interrupted, Progress

_MOST_DEATHS = 5
_LONGEST_WAIT = 5.0

# what is wrong with this machine is not the point's fault: the next one may do better
_OF_THE_MACHINE = (DataError, MissingExtraError, RunDirectoryError, StoreError)


class LostWorkersError(ThresherError):
    """A point at which so many workers have died that no more of them are risked."""


@dataclass(frozen=True)
class WorkEvent:
    """What a worker tells of its work: `text` for people; `recipe` of the point, where there is one."""

    kind: Literal["started", "finished", "failed", "waiting"]
    text: str
    recipe: Recipe | None = None


@dataclass
class WorkDone:
    """How many points one worker has finished, and how many have failed under it."""

    finished: int = 0
    failed: int = 0


def work(
    store: Store,
    queue: Queue,
    *,
    data_dir: Path | str | None = None,
    device: torch.device | str = "cpu",
    download: bool = True,
    checkpoint_every: int = 1000,
    on_event: Callable[[WorkEvent], None] = lambda event: None,
    on_progress: Callable[[Progress], None] | None = None,
    train: Callable[..., dict[str, Any]] = run,
) -> WorkDone:
    """What this worker has done, once every point of `queue` has finished or failed, under it or another.

    Each point is run by `train` in its directory of `store`, from its last checkpoint where there is one; the
    remaining arguments are those of `run`. A point whose run raises a ThresherError has failed: that is stored, and
    the next one taken. So has one at which five workers have died.

    Raises ArgumentError for a device that is not there, before any point is taken. With the point given back to the
    queue it raises `training.Interrupted` or KeyboardInterrupt when asked to stop; DataError, MissingExtraError and
    RunDirectoryError, which say that this machine cannot run the points; and whatever else `train` raises, which
    counts as a death of this worker. Raises StoreError if the database is away for too long: a result that the queue
    has not heard of is in the store, and the next worker finds it there.
    """
    device = usable_device(device)  # or every point of the study would fail of it
    done = WorkDone()
    carry_out = partial(
        train,
        data_dir=data_dir,
        resume=True,
        device=device,
        download=download,
        checkpoint_every=checkpoint_every,
        on_progress=on_progress,
    )
    waited = False
    with _sigterm_as_interrupt():
        while True:
            claim = queue.claim(free=lambda recipe: not store.in_use(recipe))
            if claim is not None:
                waited = False
                _do(claim, store, queue, carry_out, on_event, done)
                continue
            left = sum(point.state not in ("finished", "failed") for point in queue.points().values())
            if not left:
                return done
            if not waited:
                text = (
                    f"{left} left, with other workers: waiting, to take over from one not heard of for {queue.grace} s"
                )
                on_event(WorkEvent("waiting", text))
                waited = True
            threading.Event().wait(min(_LONGEST_WAIT, queue.grace / 4))


def _do(
    claim: Claim,
    store: Store,
    queue: Queue,
    carry_out: Callable[..., dict[str, Any]],
    on_event: Callable[[WorkEvent], None],
    done: WorkDone,
) -> None:
    recipe = claim.recipe
    with queue.beating(claim):
        try:
            if claim.abandoned >= _MOST_DEATHS:
                raise LostWorkersError(f"{claim.abandoned} workers have died at it, without an error")
            on_event(WorkEvent("started", f"{recipe.name} started", recipe))
            result = carry_out(recipe, store.directory(recipe))
        except (Interrupted, KeyboardInterrupt):
            queue.give_back(claim)
            raise
        except _OF_THE_MACHINE as error:
            queue.give_back(claim)
            # another worker, taken for dead, is still at it
            if not isinstance(error, RunInUseError):
                raise
        except ThresherError as error:
            store.record_failure(recipe, error)
            queue.fail(claim, f"{type(error).__name__}: {error}")
            done.failed += 1
            on_event(WorkEvent("failed", f"{recipe.name} failed: {error}", recipe))
        except BaseException:
            queue.abandon(claim)
            raise
        else:
            store.clear_failure(recipe)
            queue.finish(claim, result["test_error_final_pct"])
            done.finished += 1
            on_event(WorkEvent("finished", f"{recipe.name} finished", recipe))


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """SIGTERM (batch schedulers) is Ctrl-C while the block runs, so that the point in hand is given back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
