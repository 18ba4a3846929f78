"""Ctrl-C or SIGTERM stops training at the next step boundary, where the state is whole and can be saved."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from thresher.core.errors import ThresherError


class Interrupted(ThresherError):
    """Training was stopped by Ctrl-C or SIGTERM after `step` updates, and all of it is in the checkpoint at `path`."""

    def __init__(self, path: Path, step: int, steps: int) -> None:
        super().__init__(f"stopped after step {step} of {steps}; {path} holds all of it: resume to go on from there")
        self.path = path
        self.step = step


class StopRequest:
    """Whether somebody has asked to stop."""

    made = False


@contextmanager
def deferred_interrupt() -> Iterator[StopRequest]:
    """A request that the first SIGINT (Ctrl-C) or SIGTERM (batch schedulers) makes instead of ending the process.

    The second one does what it did before. Does nothing outside the main thread, where signals do not arrive, and
    for a signal that is ignored (nohup). The handlers that were there before are put back.
    """
    request = StopRequest()
    previous = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        previous = {n: handler for n, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}

    def on_signal(number: int, frame: FrameType | None) -> None:
        request.made = True
        put_back()

    def put_back() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    for number in previous:
        signal.signal(number, on_signal)
    try:
        yield request
    finally:
        put_back()
