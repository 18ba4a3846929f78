"""What the commands that run a study share: how options name recipe fields, its name, and the work on it."""

import hashlib
import json
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from thresher.cli.crew import crew
from thresher.cli.live_table import LiveTable
from thresher.cli.outcome import resumable
from thresher.cli.study_queue import study_queue
from thresher.core.errors import ArgumentError
from thresher.experiments import Recipe
from thresher.experiments.store import Store
from thresher.experiments.study_run import StudyRun, study_runs
from thresher.experiments.worker import work
from thresher.training import keep_freed_memory


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Where a study is run and by how many: the options of these names."""

    store: Path
    storage: str | None
    workers: int
    threads: int | None
    device: str
    data_dir: Path | None
    no_download: bool
    allow_mixed_code: bool
    again: bool


def run_study(
    name: str, recipes: Sequence[Recipe], how: Execution, say: Callable[[str], None]
) -> tuple[Store, list[StudyRun]]:
    """The store, and what it holds of `recipes` once the study called `name` has been worked off.

    What is in the store already is not run again. Raises what opening the store and the queue raise, and
    `training.Interrupted` or KeyboardInterrupt when somebody stops it, once `say` was told how to go on.
    """
    keep_freed_memory()
    if how.threads is not None:
        torch.set_num_threads(how.threads)
    store = Store.open(how.store)
    queue = study_queue(how.storage or store.queue_file, name, say, allow_mixed_code=how.allow_mixed_code)
    queue.enqueue(recipes)
    # what somebody has deleted, and, where asked, what has failed
    lost = [r for r in recipes if store.result(r) is None and (how.again or store.failure(r) is None)]
    queue.enqueue(lost, again=True)
    there = sum(store.result(recipe) is not None for recipe in recipes)
    say(f"study '{name}': {len(recipes)} runs, {there} of them finished; {_invitation(name, how.store)} lends a hand")
    shared = ["--store", str(how.store), "--study", name, "--device", how.device]
    shared += ["--allow-mixed-code"] if how.allow_mixed_code else []
    shared += ["--threads", str(how.threads)] if how.threads is not None else []
    shared += ["--data-dir", str(how.data_dir)] if how.data_dir is not None else []
    shared += ["--no-download"] if how.no_download else []
    further = crew(how.workers - 1, shared, store.path / ".workers.log", how.storage, say)
    with resumable(say), queue, LiveTable(recipes, store) as table, further:
        work(
            store,
            queue,
            data_dir=how.data_dir,
            device=how.device,
            download=not how.no_download,
            on_event=table.on_event,
            on_progress=table.on_progress,
        )
    return store, study_runs(store, recipes)


def _invitation(study: str, store: Path) -> str:
    """The command with which further workers join, from the same folder."""
    return shlex.join(
        ["thresher", "work", "--study", study, *(["--store", str(store)] if store != Path("runs") else [])]
    )


def study_name(command: str, recipes: Iterable[Recipe]) -> str:
    """A name that the same points always have, seeds aside, so that more seeds go on with the same study."""
    cells = sorted({recipe.hash for recipe in recipes if recipe.seed == 0})
    return f"{command}-" + hashlib.sha256(" ".join(cells).encode()).hexdigest()[:8]


def counts(runs: Iterable[StudyRun]) -> dict[str, int]:
    """How many finished, failed and collapsed, for --json."""
    every = list(runs)
    return {
        "runs": len(every),
        "finished": sum(run.state == "finished" for run in every),
        "failed": sum(run.state == "failed" for run in every),
        "collapsed": sum(run.collapsed for run in every),
    }


def listed(text: str) -> list[str]:
    """The words of an option that takes several, with commas between them."""
    return [part.strip() for part in text.split(",") if part.strip()]


def recipe_fields(epochs: int | None, steps: int | None, settings: Iterable[str]) -> dict[str, Any]:
    """The recipe fields that --epochs, --steps and --set FIELD=VALUE name.

    Values are numbers, true, false, null and lists as in JSON; anything else is text.

    >>> recipe_fields(None, 100, ["learning_rate=0.05", "initializer=he"])
    {'budget': '100it', 'learning_rate': 0.05, 'initializer': 'he'}
    """
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
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return tuple(value) if isinstance(value, list) else value
