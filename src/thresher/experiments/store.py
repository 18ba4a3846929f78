"""Store: a folder of run directories, each named by its recipe."""

import json
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from thresher.core.errors import ArgumentError, RunDirectoryError, StoreError, unknown_name
from thresher.core.files import write_text_atomically
from thresher.experiments.environment import environment
from thresher.experiments.recipe import Recipe
from thresher.experiments.run_directory import RunDirectory
from thresher.experiments.stored_run import StoredRun, failure_file, in_use, read_failure, read_stored_run

_FORMAT = 1
_MARKER = "store.json"
_REMOVED = ".removed-"


@dataclass(frozen=True)
class Store:
    """The runs in the folder `path`; made by `Store.open`.

    The command line's `runs` folder is one: `run(recipe, store.directory(recipe))` and `thresher train` with the
    same recipe meet in one directory, and the second finds the first's result.
    """

    path: Path

    @classmethod
    def open(cls, path: Path | str = "runs", *, create: bool = True) -> "Store":
        """The store at `path`. With `create` it is made if need be, and has to be writable.

        A folder without a store's marker that holds nothing but run directories and results of `thresher bench` is
        taken over. Raises StoreError, saying which, for a path that is absent (without `create`), cannot be written,
        holds other things, or was written by a newer version.
        """
        store = cls(Path(path))
        if not create and not store.path.is_dir():
            raise StoreError(f"there is no store at {path}: name the folder the runs are in")
        try:
            if create:
                store.path.mkdir(parents=True, exist_ok=True)
            if not (store.path / _MARKER).exists():
                store._require_own()
                if create:
                    write_text_atomically(store.path / _MARKER, json.dumps({"format": _FORMAT}) + "\n")
        except (OSError, RunDirectoryError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            raise StoreError(f"cannot write to the store {path}: {reason}; choose another folder") from error
        if (store.path / _MARKER).exists():
            store._require_known_format()
        if create and not os.access(store.path, os.W_OK):
            raise StoreError(f"cannot write to the store {path}: permission denied; choose another folder")
        return store

    @property
    def queue_file(self) -> Path:
        """The SQLite file of the studies that are worked on by processes of one machine."""
        return self.path / "queue.db"

    def directory(self, recipe: Recipe) -> Path:
        """Where the run of `recipe` is, or would be."""
        return self.path / recipe.name

    def result(self, recipe: Recipe) -> dict[str, Any] | None:
        """The stored result of `recipe`, or None if its run is not finished."""
        return RunDirectory(self.directory(recipe)).result()

    def failure(self, recipe: Recipe) -> dict[str, Any] | None:
        """How the last attempt at `recipe` failed (type, message, environment), or None; no finished run failed."""
        return None if self.result(recipe) is not None else read_failure(self.directory(recipe))

    def in_use(self, recipe: Recipe) -> bool:
        """Whether a process is working on `recipe`."""
        return in_use(self.directory(recipe))

    def record_failure(self, recipe: Recipe, error: BaseException) -> None:
        """Keep that the run of `recipe` failed with `error`, where a later attempt finds it and replaces it."""
        directory = RunDirectory(self.directory(recipe))
        if not directory.recipe_file.exists():  # it failed before it had begun: without a recipe it is no run
            write_text_atomically(directory.recipe_file, recipe.to_json())
        failure = {
            "type": type(error).__name__,
            "message": str(error),
            "environment": environment(torch.device("cpu")),
        }
        write_text_atomically(failure_file(directory.path), json.dumps(failure, indent=2) + "\n")

    def clear_failure(self, recipe: Recipe) -> None:
        """Forget an earlier failure of `recipe`, if there was one."""
        failure_file(self.directory(recipe)).unlink(missing_ok=True)

    def runs(self) -> tuple[StoredRun, ...]:
        """Every run, by name; a directory whose files are broken is there too, as "unreadable".

        Cost: reads each run's recipe and result, and the sizes of its files.
        """
        return tuple(read_stored_run(child) for child in sorted(self._run_directories()))

    def find(self, name: str) -> StoredRun:
        """The run called `name`, or the only one whose name begins so.

        Raises UnknownNameError with the near misses, or ArgumentError listing the runs if there are several.
        """
        names = [child.name for child in self._run_directories()]
        meant = [name] if name in names else sorted(known for known in names if name and known.startswith(name))
        if not meant:
            raise unknown_name("run", name, sorted(names))
        if len(meant) > 1:
            more = f" and {len(meant) - 5} more" if len(meant) > 5 else ""
            raise ArgumentError(f"{len(meant)} runs begin with '{name}': {', '.join(meant[:5])}{more}; say which")
        return read_stored_run(self.path / meant[0])

    def remove(self, name: str) -> None:
        """Delete the run called `name`; killed on the way, it leaves the whole run or none.

        Raises RunDirectoryError if the run is running or cannot be deleted, UnknownNameError if there is none.
        """
        path = self.path / name
        if path not in self._run_directories():
            raise unknown_name("run", name, sorted(p.name for p in self._run_directories()))
        try:
            with FileLock(path / ".lock", timeout=0):  # nobody starts in it while it goes
                path.rename(self.path / f"{_REMOVED}{uuid.uuid4().hex}")
        except Timeout:
            raise RunDirectoryError(f"{path} is running: stop it, or wait until it has finished") from None
        except OSError as error:
            raise RunDirectoryError(f"cannot delete {path}: {error.strerror or error}") from error
        # with what an earlier, killed removal has left
        for renamed in self.path.glob(f"{_REMOVED}*"):
            shutil.rmtree(renamed, ignore_errors=True)

    def _run_directories(self) -> list[Path]:
        return [p for p in self.path.iterdir() if not p.name.startswith(".") and p.is_dir() and _is_run(p)]

    def _require_known_format(self) -> None:
        marker = self.path / _MARKER
        try:
            number = json.loads(marker.read_text(encoding="utf-8"))["format"]
            newer = number > _FORMAT
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{marker} does not say what kind of store this is ({error!r}): delete it") from error
        if newer:
            raise StoreError(
                f"the store {self.path} was written by a newer version of thresher (format {number}, known here: "
                f"{_FORMAT}): upgrade, or choose another folder"
            )

    def _require_own(self) -> None:
        children = [child for child in self.path.iterdir() if not child.name.startswith(".")]
        strangers = sorted(child.name for child in children if not _is_own(child))
        if strangers:
            raise StoreError(
                f"{self.path} is no store of runs (it holds {', '.join(strangers[:5])}): choose another folder"
            )


def _is_run(path: Path) -> bool:
    return any((path / name).exists() for name in ("recipe.json", "result.json", "checkpoint.pt", "failure.json"))


def _is_own(path: Path, depth: int = 3) -> bool:
    """Whether `path` is a run or a result of `thresher bench`, or holds such and nothing else (`thresher demo`)."""
    if not path.is_dir() or path.is_symlink():
        return False
    if _is_run(path) or (path / "bench.json").exists():
        return True
    children = [child for child in path.iterdir() if not child.name.startswith(".")]
    return depth > 0 and all(_is_own(child, depth - 1) for child in children)
