"""Queue: the points of a study in an Optuna storage, each handed to one worker at a time and done once.

Optuna keeps the entries (its trials), their states and heartbeats, in SQLite or PostgreSQL; its samplers are never
asked, since every point is known in advance. An entry that is finished never changes again, so a point that has to
be run again gets another entry. What can go wrong, and what is done about it:

* Two workers want one entry. Waiting → running is one transaction of the database, and one of them gets it.
* A worker dies. Its heartbeats end, and after `grace` seconds by the database's clock any idle worker fails its
  entry and queues the point again. The first heartbeat is recorded before the entry is taken: an entry without one
  would wait for ever.
* A worker dies between failing an entry and queueing the point again, or between giving a point back and queueing
  it. So nobody relies on having done both: an idle worker queues every point that has no live entry and no end.
* Two processes queue the same point at once, by this or because they start the same study. Of the entries of a
  point only the first live one is ever taken; see `Point.next`.
* An answer of the database is lost. Every call may be repeated: the worst are two entries of one point, or one that
  nobody knows to be his, which soon counts as abandoned.
* The database's clock jumps, or the database is away for longer than `grace`: living workers count as dead and
  their points are queued again. They still hold the locks of their run directories, so that nobody else gets in;
  `claim` leaves out what is in use, and when it has become free the stored result ends the point.
"""

import math
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from thresher.core.errors import ArgumentError, MixedCodeError, unknown_name
from thresher.experiments.database import Database
from thresher.experiments.environment import code_hash
from thresher.experiments.heartbeat import heartbeat
from thresher.experiments.point import Attempt, AttemptState, Point
from thresher.experiments.recipe import Recipe

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, TrialState

_HASH, _RECIPE, _OUTCOME, _ERROR, _CODE, _AGAIN = "hash", "recipe", "outcome", "error", "code", "again"


@dataclass(frozen=True)
class Claim:
    """A point that this process has to work on; `abandoned` workers have died at it before."""

    id: int
    recipe: Recipe
    abandoned: int


class Queue:
    """The points of the study called `study` in the database at `url`; with `create` it is made if need be.

    url: the path of an SQLite file for workers on one machine, postgresql://USER:PASSWORD@HOST/DATABASE for any number.
    grace: seconds without a heartbeat after which a worker counts as dead; it sends one every quarter of that, so
        that all workers of a study have to have the same.
    patience: seconds for which a database that does not answer is asked again; until the study is open only
        `opening_patience`, since its address may be wrong.
    allow_mixed_code: take part in a study that another version of the code (`code`) began. The entries that this
        one finishes are marked with its hash; their results name it in any case.
    say: called with a line of text when the database goes away, and when it is back.

    Raises what `Database` raises, MixedCodeError for a study of another version of the code, and UnknownNameError,
    with the near miss, for one that is not there (without `create`).
    Cost: a claim reads those entries of the study that are not finished; about 0.2 ms each.
    """

    def __init__(
        self,
        url: str | Path,
        study: str = "study",
        *,
        create: bool = True,
        grace: int = 120,
        patience: float = 600.0,
        opening_patience: float = 60.0,
        allow_mixed_code: bool = False,
        code: str | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        if grace < 2:
            raise ArgumentError(f"grace is at least 2 seconds, since databases count whole ones: got {grace}")
        if not study:
            raise ArgumentError("a study needs a name: got ''")
        self._database = Database(url, patience, opening_patience, grace, say)
        self._storage, self._ask = self._database.storage, self._database.call
        self.address, self.grace = self._database.address, grace
        self._code = code or code_hash()
        self._recipes: dict[str, Recipe] = {}
        self._study = self._open(study, create)
        self._mixed = self._began_with(study) != self._code
        if self._mixed and not allow_mixed_code:
            raise MixedCodeError(study, "allow_mixed_code=True")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database; leaving the block of `with Queue(...) as queue` does."""
        self._database.close()

    def enqueue(self, recipes: Iterable[Recipe], *, again: bool = False) -> int:
        """The number of `recipes` added: those that the study does not hold yet.

        With `again` also those that have failed or finished, to be run once more; what waits or runs stays.
        """
        known = self.points()
        added = 0
        for key, recipe in {recipe.hash: recipe for recipe in recipes}.items():
            point = known.get(key)
            if point is None or (again and point.state in ("finished", "failed")):
                self._append(recipe, again=point is not None)
                added += 1
        return added

    def points(self) -> dict[str, Point]:
        """Every point of the study by the hash of its recipe, in the order in which they were added."""
        trials = self._ask(partial(self._study.get_trials, deepcopy=False))
        attempts: dict[str, list[FrozenTrial]] = defaultdict(list)
        for trial in trials:
            if _HASH in trial.user_attrs:  # others are somebody else's
                attempts[trial.user_attrs[_HASH]].append(trial)
        for key in attempts.keys() - self._recipes.keys():
            trial = attempts[key][0]
            where = f"entry {trial.number} of the queue"
            self._recipes[key] = Recipe.from_json(trial.user_attrs[_RECIPE], where)
        return {
            key: Point(self._recipes[key], tuple(sorted(map(_attempt, tried), key=lambda attempt: attempt.number)))
            for key, tried in attempts.items()
        }

    def claim(self, free: Callable[[Recipe], bool] = lambda recipe: True) -> Claim | None:
        """A point to work on that nobody else has, or None if there is none at the moment.

        Points whose recipe is not `free` are left out. Where nothing waits, the points of dead workers and those
        that got lost are queued again first.
        """
        claim = self._take(free)
        if claim is None and self._recover():
            claim = self._take(free)
        return claim

    def beating(self, claim: Claim) -> AbstractContextManager[None]:
        """A block in which the database is told, every quarter of `grace`, that this process is at `claim`."""
        beat = partial(self._storage.record_heartbeat, claim.id)
        return heartbeat(beat, self.grace / 4, self._storage.remove_session)

    def finish(self, claim: Claim, test_error_pct: float) -> None:
        """The point is done. Its result is in the store; here goes what Optuna's own tools can draw."""
        from optuna.trial import TrialState

        values = [test_error_pct] if math.isfinite(test_error_pct) else None
        marks = {_CODE: self._code} if self._mixed else {}
        self._end(claim.id, TrialState.COMPLETE, marks, values)

    def fail(self, claim: Claim, error: str) -> None:
        """The point cannot be done: it is not tried again."""
        self._end_without(claim.id, "failed", error)

    def give_back(self, claim: Claim) -> None:
        """The point is for somebody else: this process has been asked to stop, or did not get in."""
        self._end_without(claim.id, "returned")
        self._append(claim.recipe)

    def abandon(self, claim: Claim) -> None:
        """The point is for somebody else: this process dies of it."""
        self._end_without(claim.id, "abandoned")

    def _open(self, study: str, create: bool) -> "Study":
        from optuna import create_study, get_all_study_names, load_study

        if create:
            make = partial(create_study, storage=self._storage, study_name=study, load_if_exists=True)
            return self._ask(make, opening=True)
        try:
            return self._ask(partial(load_study, storage=self._storage, study_name=study), opening=True)
        except KeyError:
            names = self._ask(partial(get_all_study_names, self._storage))
            raise unknown_name("study", study, names) from None

    def _began_with(self, study: str) -> str:
        """The hash of the code that began the study."""
        if _CODE not in self._ask(lambda: self._study.user_attrs):
            self._ask(partial(self._study.set_user_attr, _CODE, self._code))
        return str(self._ask(lambda: self._study.user_attrs)[_CODE])

    def _take(self, free: Callable[[Recipe], bool]) -> Claim | None:
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        # what was begun and given back comes first: a study that is stopped often has few runs half done
        waiting = {
            (not any(tried.state == "returned" for tried in point.attempts), attempt.number): (attempt.id, point)
            for point in self.points().values()
            if (attempt := point.next) is not None and attempt.state == "waiting"
        }
        for _, (entry, point) in sorted(waiting.items()):
            if not free(point.recipe):
                continue
            self._ask(partial(self._storage.record_heartbeat, entry))
            with suppress(UpdateFinishedTrialError):
                if self._ask(partial(self._storage.set_trial_state_values, entry, TrialState.RUNNING)):
                    return Claim(entry, point.recipe, point.abandoned)
        return None

    def _recover(self) -> bool:
        """Whether points were queued again: those of workers that are heard of no more, and those that got lost."""
        from optuna.storages import fail_stale_trials

        with warnings.catch_warnings(action="ignore"):  # it is experimental
            self._ask(partial(fail_stale_trials, self._study))
        lost = [point.recipe for point in self.points().values() if point.state == "lost"]
        for recipe in lost:
            self._append(recipe)
        return bool(lost)

    def _append(self, recipe: Recipe, *, again: bool = False) -> None:
        from optuna.trial import TrialState, create_trial

        marks = {_HASH: recipe.hash, _RECIPE: recipe.to_json()} | ({_AGAIN: True} if again else {})
        entry = create_trial(state=TrialState.WAITING, user_attrs=marks)
        self._ask(partial(self._study.add_trial, entry))

    def _end_without(self, entry: int, outcome: AttemptState, error: str | None = None) -> None:
        from optuna.trial import TrialState

        self._end(entry, TrialState.FAIL, {_OUTCOME: outcome} | ({} if error is None else {_ERROR: error}))

    def _end(self, entry: int, state: "TrialState", marks: dict[str, str], values: list[float] | None = None) -> None:
        """Mark the entry, then end it; nothing if it has ended already, because this process was taken for dead."""
        from optuna.exceptions import UpdateFinishedTrialError

        with suppress(UpdateFinishedTrialError):
            for name, value in marks.items():
                self._ask(partial(self._storage.set_trial_user_attr, entry, name, value))
            self._ask(partial(self._storage.set_trial_state_values, entry, state, values))


def _attempt(trial: "FrozenTrial") -> Attempt:
    from optuna.trial import TrialState

    states: dict[TrialState, AttemptState] = {
        TrialState.WAITING: "waiting",
        TrialState.RUNNING: "running",
        TrialState.COMPLETE: "finished",
    }
    state = states.get(trial.state) or trial.user_attrs.get(_OUTCOME, "abandoned")
    return Attempt(trial._trial_id, trial.number, state, bool(trial.user_attrs.get(_AGAIN)))
