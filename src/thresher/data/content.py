"""The bytes of published files: plain, gzipped, or inside a tar or zip archive that is not unpacked."""

import gzip
import lzma
import posixpath
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from thresher.core.errors import DataError

Arrays: TypeAlias = tuple[NDArray[Any], NDArray[np.int64]]
"""Inputs [N, C, H, W] and labels [N], as read from files."""

_GZIP_MAGIC = b"\x1f\x8b"
_MISSING_NAMED = 10
# of zip archives, names that are not UTF-8 are a ValueError, encryption and unknown compression a RuntimeError
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    zlib.error,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
)


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
    """The bytes of each of `members` of the archive at `path`: zip if it is called so, else tar, compressed or not.

    Nothing is written to disk, so names inside the archive can do no harm; links and sparse members are not
    followed. Raises DataError if the archive is damaged or lacks a member as a regular file.
    """
    kind, read = ("zip", _zipped) if path.suffix == ".zip" else ("tar", _tarred)
    try:
        contents = {name: Content(f"{path}:{name}", data) for name, data in read(path, frozenset(members))}
    except _DAMAGE as error:
        raise _damaged(path, f"{kind} archive", error) from error
    missing = [name for name in members if name not in contents]
    if missing:
        rest = f" and {len(missing) - _MISSING_NAMED} more" if len(missing) > _MISSING_NAMED else ""
        raise DataError(
            f"{path} does not hold {', '.join(missing[:_MISSING_NAMED])}{rest} as regular files: it is another archive"
        )
    return contents


def _tarred(path: Path, members: frozenset[str]) -> Iterator[tuple[str, bytes]]:
    """Names and bytes, in one pass that ends with the last of `members`."""
    left = set(members)
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            name = posixpath.normpath(member.name)
            if name in left and member.isreg() and not member.issparse():
                left.remove(name)
                file = archive.extractfile(member)
                yield name, file.read() if file is not None else b""
            if not left:
                break


def _zipped(path: Path, members: frozenset[str]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name in members:
                yield name, archive.read(name)


def _damaged(path: Path, kind: str, error: Exception) -> DataError:
    return DataError(f"{path} is a damaged {kind} ({error}): delete it and get it again")
