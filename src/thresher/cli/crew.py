"""A crew: further workers of a study, as processes of this machine."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_PATIENCE = 60.0  # seconds that a worker has to write its checkpoint
_STOPPED = (0, 130, -signal.SIGTERM)  # there was nothing left; while at work; before it had begun


@contextmanager
def crew(
    size: int, arguments: Sequence[str], log: Path, storage: str | None, say: Callable[[str], None]
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """While the block runs, `size` processes of ``thresher work`` with `arguments` work beside it.

    After the block, or when this process is killed, they save what they are at and stop. What they say goes to the
    end of `log`; `say` is told if some ended otherwise. `storage` goes to them by the environment: a password on a
    command line is everybody's to read.
    """
    environment = dict(os.environ)
    if storage is not None:
        environment["THRESHER_STORAGE"] = storage
    with log.open("a", encoding="utf-8") as lines:
        workers = [
            subprocess.Popen(
                [sys.executable, "-m", "thresher", "work", "--until-input-ends", *arguments],
                stdout=lines,
                stderr=lines,
                stdin=subprocess.PIPE,  # its end is what stops them, also where this process is killed
                env=environment,
                start_new_session=True,  # Ctrl-C is for this process: it asks them to stop itself
            )
            for _ in range(size)
        ]
        try:
            yield workers
        finally:
            for worker in workers:
                if worker.stdin is not None:
                    worker.stdin.close()
            for worker in workers:
                try:
                    worker.wait(_PATIENCE)
                except subprocess.TimeoutExpired:
                    worker.kill()  # its point is taken up from the last checkpoint
            failed = sum(worker.wait() not in _STOPPED for worker in workers)
            if failed:
                say(f"{failed} of {size} further workers ended with an error: see {log}")
