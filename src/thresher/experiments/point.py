"""Point: one recipe of a study, and everything that has been tried to run it."""

from dataclasses import dataclass
from typing import Literal

from thresher.experiments.recipe import Recipe

AttemptState = Literal["waiting", "running", "finished", "failed", "returned", "abandoned"]
PointState = Literal["waiting", "running", "finished", "failed", "lost"]


@dataclass(frozen=True)
class Attempt:
    """One entry in the queue.

    `number` counts the entries of the study in the order in which they were made. "returned": its worker was asked
    to stop and gave it back; "abandoned": its worker was heard of no more. `again` starts the point anew, whatever
    became of it before.
    """

    id: int
    number: int
    state: AttemptState
    again: bool = False

    @property
    def live(self) -> bool:
        """Whether something may still come of it."""
        return self.state in ("waiting", "running")


@dataclass(frozen=True)
class Point:
    """A recipe, and its attempts by number."""

    recipe: Recipe
    attempts: tuple[Attempt, ...]

    @property
    def round(self) -> tuple[Attempt, ...]:
        """The attempts since the point was last started anew."""
        starts = [i for i, attempt in enumerate(self.attempts) if attempt.again]
        return self.attempts[starts[-1] :] if starts else self.attempts

    @property
    def state(self) -> PointState:
        """What the point has come to; "lost" where nobody is at it and nothing came of it: it has to be queued."""
        states = {attempt.state for attempt in self.round}
        order: tuple[PointState, ...] = ("finished", "failed", "running", "waiting")
        return next((state for state in order if state in states), "lost")

    @property
    def abandoned(self) -> int:
        """How many workers have died at it."""
        return sum(attempt.state == "abandoned" for attempt in self.round)

    @property
    def next(self) -> Attempt | None:
        """The only attempt that may be worked: the first live one, or None once something has come of the point.

        Attempts are numbered as they are made and a dead one stays dead: what once is the first live one remains so
        until it is dead too, and of any number of duplicates one at a time is worked, and none after the end.
        """
        if self.state in ("finished", "failed"):
            return None
        return next((attempt for attempt in self.round if attempt.live), None)
