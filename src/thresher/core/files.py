"""Files appear whole or not at all: write to a temporary file beside the target, then rename."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from thresher.core.errors import RunDirectoryError


def write_atomically(path: Path | str, write: Callable[[Path], object]) -> Path:
    """`path`, once `write(temporary)` has succeeded and the temporary file has taken its place.

    If `write` fails (full disk, interruption) the temporary file is removed and an older file at `path` is
    untouched. Raises RunDirectoryError if the operating system refuses to write there.
    """
    target = Path(path)
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # or a power cut can leave the new name on an empty file
        # mkstemp makes private files; a result is as readable as any file its owner makes
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    except OSError as error:
        raise RunDirectoryError(
            f"cannot write {target}: {error.strerror or error}; what was there before is untouched"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return target


def write_text_atomically(path: Path | str, text: str) -> Path:
    """`path` holding `text` in UTF-8; see `write_atomically`."""
    return write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def size_of(directory: Path) -> int:
    """The bytes of all files below `directory`; those that vanish meanwhile are left out."""
    total = 0
    for file in directory.rglob("*"):
        try:
            total += file.lstat().st_size
        except OSError:
            continue  # a run under way replaces its files
    return total
