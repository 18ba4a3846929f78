"""Which evaluation counts as the best, and for what."""

import pytest

from thresher.training import Outcome, Row
from thresher.training.state import TrainingState


def outcome(validation, test, seconds=(0.1, 0.3, 0.2)):
    state = TrainingState()
    state.step, state.examples, state.seconds = 10 * len(test), 1000 * len(test), 12.5
    state.step_seconds.extend(seconds)
    for place, (v, t) in enumerate(zip(validation, test, strict=True), start=1):
        state.rows.append(
            Row(
                step=10 * place,
                epoch=place / 2,
                learning_rate=0.1,
                train_loss=1.0,
                train_error_pct=1.0,
                validation_loss=v,
                validation_error_pct=v,
                test_loss=t,
                test_error_pct=t,
            )
        )
    return Outcome.of(state)


def test_final_best_and_chosen_without_the_test_set():
    found = outcome([3.0, 2.0, 4.0, 2.0], [5.0, 6.0, 4.5, 4.0])
    assert (found.steps, found.epochs, found.seconds) == (40, 2.0, 12.5)
    assert (found.test_error_final_pct, found.validation_error_final_pct) == (4.0, 2.0)
    assert (found.test_error_best_pct, found.test_error_best_step) == (4.0, 40)
    assert (found.validation_error_best_pct, found.validation_error_best_step) == (2.0, 20)
    assert found.test_error_at_best_validation_pct == 6.0


def test_ties_go_to_the_earliest_step():
    found = outcome([1.0, 0.0, 0.0], [2.0, 1.0, 1.0])
    assert (found.test_error_best_step, found.validation_error_best_step) == (20, 20)


def test_absent_data_sets_give_none():
    found = outcome([None, None], [3.0, 2.0])
    assert found.test_error_best_pct == 2.0
    assert found.validation_error_best_pct is found.validation_error_best_step is None
    assert found.test_error_at_best_validation_pct is found.validation_error_final_pct is None
    found = outcome([3.0, 2.0], [None, None])
    assert found.validation_error_best_step == 20
    assert found.test_error_at_best_validation_pct is found.test_error_best_pct is found.test_error_best_step is None


def test_speed_is_the_median_and_what_follows_from_it():
    found = outcome([None], [None], seconds=(0.1, 9.0, 0.2))
    assert found.seconds_per_step == 0.2
    assert found.examples_per_second == pytest.approx(100 / 0.2)
