"""What came of training: the final figures, the best ones, and how each was chosen."""

import statistics
from dataclasses import dataclass

from thresher.training.metrics import Row
from thresher.training.state import TrainingState


@dataclass(frozen=True)
class Outcome:
    """Figures of a finished run; errors are percentages, None where there was no such data set.

    `..._final_pct`: after the last step. `test_error_best_pct`: the lowest of all evaluations, so it was chosen
    on the test set (as Lee 2021 reports it) and is optimistic. `test_error_at_best_validation_pct`: the test
    error at `validation_error_best_step`, chosen without the test set. Ties go to the earliest step.
    `seconds`: wall time of training and evaluation, work lost to a kill not counted. `seconds_per_step`: median
    wall time of a step, fetching its batch included, evaluation excluded (the latest 10,000 steps; on an
    accelerator, means of 50). `examples_per_second`: mean examples per step over that median.
    """

    steps: int
    epochs: float
    rows: tuple[Row, ...]
    test_error_final_pct: float | None
    test_error_best_pct: float | None
    test_error_best_step: int | None
    test_error_at_best_validation_pct: float | None
    validation_error_final_pct: float | None
    validation_error_best_pct: float | None
    validation_error_best_step: int | None
    seconds: float
    seconds_per_step: float
    examples_per_second: float

    @classmethod
    def of(cls, state: TrainingState) -> "Outcome":
        """The outcome of a run whose last row has been measured."""
        rows = state.rows
        last = rows[-1]
        tested = [(error, row["step"]) for row in rows if (error := row["test_error_pct"]) is not None]
        validated = [(error, row) for row in rows if (error := row["validation_error_pct"]) is not None]
        test_best = min(tested, default=(None, None))
        validation_best, chosen = min(validated, key=lambda pair: pair[0], default=(None, None))
        seconds_per_step = statistics.median(state.step_seconds)
        return cls(
            steps=state.step,
            epochs=last["epoch"],
            rows=tuple(rows),
            test_error_final_pct=last["test_error_pct"],
            test_error_best_pct=test_best[0],
            test_error_best_step=test_best[1],
            test_error_at_best_validation_pct=chosen["test_error_pct"] if chosen else None,
            validation_error_final_pct=last["validation_error_pct"],
            validation_error_best_pct=validation_best,
            validation_error_best_step=chosen["step"] if chosen else None,
            seconds=state.seconds,
            seconds_per_step=seconds_per_step,
            examples_per_second=state.examples / state.step / seconds_per_step,
        )
