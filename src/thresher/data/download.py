"""Fetching published files: checked by length and checksum, and in place whole or not at all."""

import hashlib
import http.client
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from thresher.core.errors import DataError
from thresher.core.files import write_atomically

_CHUNK_BYTES = 1 << 16
_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Remote:
    """Where files are published: `base_url`, ending in a slash, and the MD5 of each file by name."""

    base_url: str
    md5: Mapping[str, str]


def download(remote: Remote, folder: Path, base_url: str | None = None) -> list[Path]:
    """The files of `remote` in `folder`; those already there are left alone, the others fetched.

    `base_url` names another place that has the same files. A bar on standard error shows the progress.
    Raises DataError if a file cannot be reached, ends early, or has another checksum (the published files are
    told by their MD5; such a file is removed), and RunDirectoryError if `folder` cannot be written.
    """
    base = base_url or remote.base_url
    base = base if base.endswith("/") else f"{base}/"
    targets = {folder / name: (base + name, digest) for name, digest in remote.md5.items()}
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        for target, (url, digest) in targets.items():
            if not target.exists():
                write_atomically(target, partial(_fetch, url, digest, progress))
    return list(targets)


def _fetch(url: str, md5: str, progress: Progress, target: Path) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    task = progress.add_task(url.rsplit("/", 1)[-1], total=None)
    with target.open("wb") as file:
        for chunk, total in _chunks(url):
            file.write(chunk)
            digest.update(chunk)
            progress.update(task, advance=len(chunk), total=total)
    if digest.hexdigest() != md5:
        raise DataError(
            f"{url} has the MD5 checksum {digest.hexdigest()}; the published file has {md5}: it was removed"
        )


def _chunks(url: str) -> Iterator[tuple[bytes, int | None]]:
    """Pieces of the body with its announced length; whatever the network does wrong becomes a DataError."""
    received = 0
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "thresher"})
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
            length = response.headers.get("Content-Length")
            total = int(length) if length else None
            while chunk := response.read(_CHUNK_BYTES):
                received += len(chunk)
                yield chunk, total
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DataError(f"cannot fetch {url}: {error}") from error
    if total is not None and received != total:
        raise DataError(f"{url} ended after {received} of {total} bytes")
