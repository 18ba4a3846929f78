"""One run in a store, as far as its files can be read."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from thresher.core.errors import FileFormatError, ThresherError
from thresher.core.files import size_of
from thresher.experiments.recipe import Recipe
from thresher.experiments.run_directory import RunDirectory

Status = Literal["finished", "failed", "running", "unfinished", "unreadable"]

_FAILURE = "failure.json"


@dataclass(frozen=True)
class StoredRun:
    """A run directory at a glance.

    `recipe` is None and `problem` says why where the directory is "unreadable"; `problem` of a "failed" run is its
    error. `size` is in bytes. `started` (ISO 8601, UTC), `code` (hash of the code that made it) and
    `test_error_pct` (after the last step) are None where no result is; `started` and `code` of a failed run are
    those of the failure.
    """

    name: str
    path: Path
    status: Status
    size: int
    recipe: Recipe | None = None
    started: str | None = None
    code: str | None = None
    test_error_pct: float | None = None
    problem: str | None = None


def read_stored_run(path: Path) -> StoredRun:
    """What is in the run directory `path`; nothing found there raises, it makes the run "unreadable"."""
    size = size_of(path)
    directory = RunDirectory(path)
    try:
        recipe = directory.recipe()
        if recipe is None:
            raise FileFormatError(f"{directory.recipe_file} is not there")
        result, failure = directory.result(), read_failure(path)
        if result is not None:
            made, error = result["environment"], result["test_error_final_pct"]
            return StoredRun(path.name, path, "finished", size, recipe, made["started"], made["code"], error)
        if in_use(path):
            return StoredRun(path.name, path, "running", size, recipe)
        if failure is not None:
            made, problem = failure["environment"], f"{failure['type']}: {failure['message']}"
            return StoredRun(path.name, path, "failed", size, recipe, made["started"], made["code"], problem=problem)
        return StoredRun(path.name, path, "unfinished", size, recipe)
    except (ThresherError, OSError, LookupError, TypeError) as error:
        problem = str(error) if isinstance(error, ThresherError) else f"its files are incomplete ({error!r})"
        return StoredRun(path.name, path, "unreadable", size, problem=problem)


def failure_file(path: Path) -> Path:
    """failure.json of the run directory `path`."""
    return path / _FAILURE


def read_failure(path: Path) -> dict[str, Any] | None:
    """The failure stored in the run directory `path`: type, message, environment; None if there is none."""
    file = failure_file(path)
    try:
        failure: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise FileFormatError(f"{file} is not readable JSON: {error}; delete it to rerun") from error
    return failure


def in_use(path: Path) -> bool:
    """Whether a process is in the run directory `path`.

    The lock is taken for an instant to find out: whoever opens the directory in that instant is turned away.
    """
    if not (path / ".lock").exists():
        return False
    try:
        with FileLock(path / ".lock", timeout=0):
            return False
    except Timeout:
        return True
