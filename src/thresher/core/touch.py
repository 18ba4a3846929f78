"""Every read of examples is a Touch, reported to whoever listens in this context."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Touch:
    """`count` examples of `dataset` were read for `purpose`.

    `indices` names them where the data knows (batches from `thresher.data` do); otherwise it is None and
    only the count is known, as is `dataset` = '?'.
    """

    dataset: str
    purpose: str
    count: int
    indices: Tensor | None = None


_listeners: ContextVar[tuple[Callable[[Touch], object], ...]] = ContextVar("thresher_listeners", default=())


def report_touch(dataset: str, purpose: str, count: int, indices: Tensor | None = None) -> None:
    """Tell every listener of this context; with none it costs one context-variable read."""
    listeners = _listeners.get()
    if listeners:
        touch = Touch(dataset, purpose, count, indices)
        for listener in listeners:
            listener(touch)


@contextmanager
def listen(listener: Callable[[Touch], object] | None = None) -> Iterator[list[Touch]]:
    """Inside the `with` block `listener` is called with every touch, nested functions' included.

    Without a listener the touches are collected in the list that `with` gives (it stays empty otherwise).

    >>> with listen() as touches:
    ...     report_touch("digits", "snip", 100)
    >>> touches[0].count, touches[0].purpose
    (100, 'snip')
    """
    touches: list[Touch] = []
    token = _listeners.set((*_listeners.get(), touches.append if listener is None else listener))
    try:
        yield touches
    finally:
        _listeners.reset(token)
