"""Ctrl-C during training stops at the next step boundary, where the state is whole and can be saved."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from thresher.core.errors import ThresherError


class Interrupted(ThresherError):
    """Training was stopped by Ctrl-C after `step` updates, and all of it is in the checkpoint at `path`."""

    def __init__(self, path: Path, step: int, steps: int) -> None:
        super().__init__(f"stopped after step {step} of {steps}; {path} holds all of it: resume to go on from there")
        self.path = path
        self.step = step


class StopRequest:
    """Whether somebody has asked to stop."""

    made = False


@contextmanager
def deferred_interrupt() -> Iterator[StopRequest]:
    """A request that the first SIGINT makes instead of raising KeyboardInterrupt; the second one raises it.

    Does nothing outside the main thread, where signals do not arrive, and where SIGINT is ignored (nohup).
    The handler that was there before is put back.
    """
    request = StopRequest()
    previous = signal.getsignal(signal.SIGINT)
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or previous in (signal.SIG_IGN, None):
        yield request
        return

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        request.made = True
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield request
    finally:
        signal.signal(signal.SIGINT, previous)
