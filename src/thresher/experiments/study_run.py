"""One point of a study and what came of it."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from thresher.data import DATASETS
from thresher.experiments.recipe import Recipe
from thresher.experiments.store import Store

State = Literal["finished", "failed", "not run"]

_NEAR_CHANCE = 0.95  # of the error of guessing: no network that learned anything errs as often


@dataclass(frozen=True)
class StudyRun:
    """A recipe with its result (the object of result.json), or its failure ("type" and "message"), or neither.

    `directory`, where known, is the run's own. A run that has both a result and a failure is finished.
    """

    recipe: Recipe
    result: Mapping[str, Any] | None = None
    failure: Mapping[str, Any] | None = None
    directory: Path | None = None

    @property
    def state(self) -> State:
        """Finished, failed, or not run (yet)."""
        return "finished" if self.result is not None else "failed" if self.failure is not None else "not run"

    @property
    def diverged(self) -> bool:
        """Whether a loss or weight became NaN or infinite, and training stopped there."""
        return self.state == "failed" and self.failure is not None and self.failure.get("type") == "NonFiniteError"

    @property
    def collapsed(self) -> bool:
        """Whether pruning left a layer empty, or no path from input to output."""
        cut = self.result["collapse"] if self.result is not None else {}
        return bool(cut.get("collapsed_layers") or cut.get("disconnected"))

    def error(self, measure: str) -> float | None:
        """The field `measure` of the result, in percent; None if there is no result or it has no finite value there."""
        value = None if self.result is None else self.result[measure]
        return float(value) if value is not None and math.isfinite(value) else None

    def at_chance(self, measure: str) -> bool:
        """Whether it learned nothing: its error is within a twentieth of that of guessing among the classes."""
        error, classes = self.error(measure), DATASETS[self.recipe.data].num_classes
        return error is not None and bool(classes) and error >= _NEAR_CHANCE * 100.0 * (1.0 - 1.0 / (classes or 1))


def study_runs(store: Store, recipes: Iterable[Recipe]) -> list[StudyRun]:
    """What `store` holds of `recipes`, in their order; those that it has nothing of are not run."""
    return [StudyRun(one, store.result(one), store.failure(one), store.directory(one)) for one in recipes]
