"""The bytes of published files: plain, gzipped, or inside a tar archive that is not unpacked."""

import gzip
import posixpath
import tarfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from thresher.core.errors import DataError

Arrays: TypeAlias = tuple[NDArray[Any], NDArray[np.int64]]
"""Inputs [N, C, H, W] and labels [N], as read from files."""

_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class Content:
    """`data`, the bytes of a file, and `origin`, what to call the file in a message."""

    origin: str
    data: bytes = field(repr=False)


def read_content(path: Path) -> Content:
    """The bytes of `path`, decompressed if they begin as gzip does, whatever the file is called.

    Raises DataError if the file cannot be read or the gzip stream is cut short or corrupted.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    if not data.startswith(_GZIP_MAGIC):
        return Content(str(path), data)
    try:
        return Content(str(path), gzip.decompress(data))
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, "gzip stream", error) from error


def read_archive(path: Path, members: Collection[str]) -> dict[str, Content]:
    """The bytes of each of `members` of the tar archive at `path` (plain or compressed), read in one pass.

    Nothing is written to disk, so names inside the archive can do no harm; links and sparse members are not
    followed. Raises DataError if the archive is damaged or lacks a member as a regular file.
    """
    contents = {}
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                name = posixpath.normpath(member.name)
                if name in members and member.isreg() and not member.issparse():
                    file = archive.extractfile(member)
                    contents[name] = Content(f"{path}:{name}", file.read() if file is not None else b"")
                if len(contents) == len(members):
                    break
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise _damaged(path, "tar archive", error) from error
    missing = [name for name in members if name not in contents]
    if missing:
        raise DataError(f"{path} does not hold {', '.join(missing)} as regular files: it is another archive")
    return contents


def _damaged(path: Path, kind: str, error: Exception) -> DataError:
    return DataError(f"{path} is a damaged {kind} ({error}): delete it and get it again")
