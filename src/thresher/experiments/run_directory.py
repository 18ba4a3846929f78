"""A run directory: one recipe, one writer at a time, nothing overwritten."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from thresher.core.errors import FileFormatError, RunDirectoryError, RunInUseError
from thresher.core.files import write_text_atomically
from thresher.experiments.recipe import Recipe


@dataclass(frozen=True)
class RunDirectory:
    """Where one run keeps its files; made by `open_run`."""

    path: Path

    @property
    def recipe_file(self) -> Path:
        """recipe.json."""
        return self.path / "recipe.json"

    @property
    def mask_file(self) -> Path:
        """mask.safetensors."""
        return self.path / "mask.safetensors"

    @property
    def engine_file(self) -> Path:
        """engine.json."""
        return self.path / "engine.json"

    @property
    def model_file(self) -> Path:
        """model.safetensors."""
        return self.path / "model.safetensors"

    @property
    def checkpoint_file(self) -> Path:
        """checkpoint.pt."""
        return self.path / "checkpoint.pt"

    @property
    def result_file(self) -> Path:
        """result.json."""
        return self.path / "result.json"

    @property
    def begun(self) -> bool:
        """Whether there is anything to lose: a checkpoint or a result."""
        return self.checkpoint_file.exists() or self.result_file.exists()

    def recipe(self) -> Recipe | None:
        """The recipe the directory was made for, or None if there is none yet."""
        if not self.recipe_file.is_file():
            return None
        return Recipe.from_json(_text(self.recipe_file), str(self.recipe_file))

    def result(self) -> dict[str, Any] | None:
        """The stored result of a finished run, or None."""
        if not self.result_file.is_file():
            return None
        try:
            result: dict[str, Any] = json.loads(_text(self.result_file))
        except ValueError as error:
            raise FileFormatError(f"{self.result_file} is not readable JSON: {error}; delete it to rerun") from error
        return result


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{file} is not readable text: {error}; move the directory away to start anew") from error


@contextmanager
def open_run(path: Path | str, recipe: Recipe, resume: bool) -> Iterator[RunDirectory]:
    """The directory for `recipe` at `path`, made if need be and locked while the block runs.

    Raises RunDirectoryError if another process is in it, it cannot be written, it holds other files or another
    recipe (the fields that differ are listed), or an unfinished run and `resume` was not asked for. A directory in
    which no run got as far as a checkpoint is taken over.
    """
    directory = RunDirectory(Path(path))
    try:
        directory.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory.path / ".lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise RunInUseError(f"{path} is in use by another process: wait for it, or choose another --out") from None
    except OSError as error:
        raise RunDirectoryError(f"cannot write to {path}: {error.strerror or error}; choose another --out") from error
    try:
        _require_same(directory, recipe, resume)
        if directory.recipe() != recipe:
            write_text_atomically(directory.recipe_file, recipe.to_json())
        yield directory
    finally:
        lock.release()


def _require_same(directory: RunDirectory, recipe: Recipe, resume: bool) -> None:
    stored = directory.recipe()
    if stored is None:
        strangers = sorted(file.name for file in directory.path.iterdir() if not file.name.startswith("."))
        if strangers:
            raise RunDirectoryError(
                f"{directory.path} is no run directory (it holds {', '.join(strangers[:5])}): choose another --out"
            )
        return
    if not directory.begun:
        return  # it was refused before it trained, and binds nobody
    differences = stored.differences(recipe)
    if differences:
        listed = "; ".join(f"{name}: {theirs!r} there, {ours!r} here" for name, (theirs, ours) in differences.items())
        raise RunDirectoryError(f"{directory.path} holds a run of another recipe ({listed}): choose another --out")
    if directory.checkpoint_file.exists() and directory.result() is None and not resume:
        raise RunDirectoryError(
            f"{directory.path} holds an unfinished run of this recipe: --resume continues it; delete the directory "
            "to start anew"
        )
