"""Heartbeat: a thread that keeps saying that its process is at work."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def heartbeat(beat: Callable[[], object], interval: float, end: Callable[[], object]) -> Iterator[None]:
    """While the block runs, `beat` is called every `interval` seconds, in a thread that calls `end` at last.

    What the two raise is dropped: a database that is away must not stop the training it is told of.
    """
    stop = threading.Event()

    def keep_beating() -> None:
        while not stop.wait(interval):
            with suppress(Exception):  # whatever a driver raises while its server is away
                beat()
        with suppress(Exception):
            end()

    thread = threading.Thread(target=keep_beating, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
