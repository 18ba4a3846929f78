"""Every read of examples is a Touch, reported to whoever listens in this context."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Touch:
    """`count` examples of `dataset` were read for `purpose`.

    `indices` names them where the data knows (batches from `thresher.data` do); otherwise it is None and
    only the count is known, as is `dataset` = '?'.
    """

    dataset: str
    purpose: str
    count: int
    indices: Tensor | None = None


_listeners: ContextVar[tuple[list[Touch], ...]] = ContextVar("thresher_touch_listeners", default=())


def report_touch(dataset: str, purpose: str, count: int, indices: Tensor | None = None) -> None:
    """Tell every listener of this context; with none it costs one context-variable read."""
    listeners = _listeners.get()
    if listeners:
        touch = Touch(dataset, purpose, count, indices)
        for touches in listeners:
            touches.append(touch)


@contextmanager
def listen() -> Iterator[list[Touch]]:
    """A list that fills with the touches made inside the `with` block, nested functions included.

    >>> with listen() as touches:
    ...     report_touch("digits", "snip", 100)
    >>> touches[0].count, touches[0].purpose
    (100, 'snip')
    """
    touches: list[Touch] = []
    token = _listeners.set((*_listeners.get(), touches))
    try:
        yield touches
    finally:
        _listeners.reset(token)
