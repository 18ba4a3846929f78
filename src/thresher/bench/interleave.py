"""Times of several pieces of work, taken in turn, so that what slows the machine slows them all."""

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

from thresher.bench.work import Work

Clock: TypeAlias = Callable[[], float]
Seconds: TypeAlias = dict[str, float]

_WARM_UP = 10  # calls at most
_STEADY = 1.1  # largest ratio of two calls in a row that counts as warm
_LONG = 0.05  # seconds from which on how a call starts no longer matters


def interleave(
    works: Mapping[str, Work], rounds: int, *, shortest: float = 2e-3, clock: Clock = time.perf_counter
) -> dict[str, list[Seconds]]:
    """Name → one entry a round: seconds a call of each phase, and of all as "total".

    Each piece of work is warmed up until two calls in a row take equally long, within a tenth, or ten are done.
    Then, round by round, each is sampled once: enough calls to last `shortest` seconds. A sample begins with a call
    that is not counted, unless one takes long: it brings back the caches and wakes the threads, as in a loop that
    does nothing else. The garbage collector rests.
    Cost: rounds × the sum over works of max(call, shortest) and of one more call.
    """
    with _no_garbage_collection():
        calls, leads = {}, {}
        for name, work in works.items():
            seconds = _warmed_up(work, clock)
            calls[name] = max(1, math.ceil(shortest / seconds)) if seconds > 0 else 1
            leads[name] = 1 if seconds < _LONG else 0
        samples: dict[str, list[Seconds]] = {name: [] for name in works}
        for _ in range(rounds):
            for name, work in works.items():
                _sample(work, leads[name], clock)
                samples[name].append(_sample(work, calls[name], clock))
    return samples


def _warmed_up(work: Work, clock: Clock) -> float:
    """Seconds of the last call of a warm-up."""
    last = math.inf
    for _ in range(_WARM_UP):
        previous, last = last, _sample(work, 1, clock)["total"]
        if max(previous, last) <= _STEADY * min(previous, last):
            break
    return last


def _sample(work: Work, calls: int, clock: Clock) -> Seconds:
    """Mean seconds of each phase, and of all, over `calls` calls."""
    spent = dict.fromkeys(work, 0.0)
    for _ in range(calls):
        start = clock()
        for phase, run in work.items():
            run()
            end = clock()
            spent[phase] += end - start
            start = end
    means = {phase: seconds / max(calls, 1) for phase, seconds in spent.items()}
    return {**means, "total": sum(means.values())}


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
