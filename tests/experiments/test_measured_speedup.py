import statistics
from dataclasses import replace

import pytest

from thresher.experiments.measured_speedup import measured_speedup
from thresher.experiments.study_run import StudyRun

MACHINE = {"processor": "this one", "cores": 2, "threads": 1, "device": "cpu", "torch": "2.13"}


def timed(recipe, seconds, **environment):
    return StudyRun(recipe, {"seconds_per_step": seconds, "environment": MACHINE | environment})


@pytest.fixture
def dense(small):
    return [timed(replace(small, method="dense", sparsity=0.0, seed=s), t) for s, t in enumerate((2e-3, 3e-3, 9e-3))]


def test_it_is_the_median_dense_time_over_the_runs_own(small, dense):
    assert measured_speedup(timed(small, 1e-3), dense) == statistics.median([2e-3, 3e-3, 9e-3]) / 1e-3
    assert measured_speedup(dense[2], dense) == pytest.approx(1 / 3)


def test_pruned_runs_among_the_others_are_no_yardstick(small, dense):
    pruned = [timed(replace(small, seed=s), 1e-9) for s in range(5)]
    assert measured_speedup(timed(small, 1e-3), [*pruned, *dense]) == 3.0


@pytest.mark.parametrize("field", MACHINE)
def test_a_dense_run_made_elsewhere_is_not_compared_with(small, dense, field):
    moved = [timed(run.recipe, 1.0, **{field: "other"}) for run in dense]
    assert measured_speedup(timed(small, 1e-3), [*moved, *dense]) == 3.0
    said = measured_speedup(timed(small, 1e-3), moved)
    assert said == f"the dense runs were made elsewhere: {field} other, not {MACHINE[field]}"


def test_another_task_is_not_compared_with(small, dense):
    other = [timed(replace(run.recipe, batch_size=64), 1.0) for run in dense]
    assert measured_speedup(timed(small, 1e-3), other) == (
        "no dense run of the same model, data and training is finished"
    )


def test_what_has_no_time_has_no_speedup(small, dense):
    assert measured_speedup(StudyRun(small), dense) == "the run has no result"
    assert measured_speedup(timed(small, None), dense) == "the run has no time per step"
    assert measured_speedup(timed(small, 1e-3), [timed(dense[0].recipe, None)]) == "no dense run was timed"
