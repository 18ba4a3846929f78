"""How a study ends: stopped, and then it says how to go on, or finished, and then it says what failed."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import typer

from thresher.experiments.study_run import StudyRun
from thresher.training import Interrupted


@contextmanager
def resumable(say: Callable[[str], None]) -> Iterator[None]:
    """A block after which, if somebody stops it, the way to go on is said."""
    try:
        yield
    except (Interrupted, KeyboardInterrupt):
        say("stopped; what is finished is kept, what was begun has its checkpoint: the same command goes on from here")
        raise


def conclude(runs: Sequence[StudyRun], measured: bool, remedy: str, say: Callable[[str], None]) -> None:
    """Say how many of `runs` failed, of what, and the `remedy`.

    A run that failed is a finding like any other, and counted, as long as there is something to hold it against:
    raises typer.Exit with code 1 only if nothing was `measured`.
    """
    failed = [run for run in runs if run.state == "failed"]
    if failed:
        kinds = Counter(str((run.failure or {}).get("type")) for run in failed)
        listed = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
        say(f"{len(failed)} of {len(runs)} runs failed ({listed}): {remedy}")
    if not measured:
        say("nothing was measured")
        raise typer.Exit(1)
