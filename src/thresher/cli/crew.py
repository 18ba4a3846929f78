"""A crew: further workers of a study, as processes of this machine."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_PATIENCE = 60.0  # seconds that a worker has to write its checkpoint


@contextmanager
def crew(size: int, arguments: Sequence[str], log: Path, storage: str | None) -> Iterator[None]:
    """While the block runs, `size` processes of ``thresher work`` with `arguments` work beside it.

    What they say goes to the end of `log`. After the block they are asked to stop, which saves what they are at.
    `storage` goes to them by the environment: a password on a command line is everybody's to read.
    """
    environment = dict(os.environ)
    if storage is not None:
        environment["THRESHER_STORAGE"] = storage
    with log.open("a", encoding="utf-8") as lines:
        workers = [
            subprocess.Popen(
                [sys.executable, "-m", "thresher", "work", *arguments],
                stdout=lines,
                stderr=lines,
                stdin=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,  # Ctrl-C is for this process: it asks them to stop itself
            )
            for _ in range(size)
        ]
        try:
            yield
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                try:
                    worker.wait(_PATIENCE)
                except subprocess.TimeoutExpired:
                    worker.kill()  # its point is taken up from the last checkpoint
