"""What a plan refuses, and what it says."""

from typing import get_args

import pytest

from thresher.core.errors import ArgumentError, UnknownNameError
from thresher.training import OPTIMIZERS, SCHEDULES, TrainingPlan
from thresher.training.plan import OptimizerName, ScheduleName


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("steps", [0, -1, 2.0, True, "10", None]),
        ("evaluate_every", [0, 1.5]),
        ("checkpoint_every", [0, False]),
        ("warmup_steps", [-1, 100, 0.5]),
        ("learning_rate", [0.0, -0.1, float("nan"), float("inf"), "0.1", True, None]),
        ("momentum", [-0.1, 1.0, float("nan")]),
        ("weight_decay", [-1e-4, float("nan"), float("inf")]),
        ("clip_norm", [0.0, -1.0, float("nan"), float("inf")]),
    ],
)
def test_values_outside_their_range_are_named(field, values):
    for value in values:
        with pytest.raises(ArgumentError, match=f"^{field} .*{'warmup|' if field == 'warmup_steps' else ''}got"):
            TrainingPlan(**{"steps": 100, "learning_rate": 0.1, field: value})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "both or neither"),
        ({"milestones": (5,), "decay_every": 5}, "both or neither"),
        ({"milestones": (5, 5)}, "milestones.*at least 6: got 5"),
        ({"milestones": (0,)}, "milestones.*at least 1: got 0"),
        ({"milestones": [5]}, "tuple"),
        ({"decay_every": 0}, "decay_every"),
        ({"decay_every": 5, "decay_factor": 0.0}, "decay_factor"),
        ({"decay_every": 5, "decay_factor": 1.1}, "decay_factor"),
    ],
)
def test_step_decay_that_makes_no_sense(changes, message):
    with pytest.raises(ArgumentError, match=message):
        TrainingPlan(steps=10, learning_rate=0.1, schedule="step", **changes)


@pytest.mark.parametrize("option", [{"milestones": (5,)}, {"decay_every": 5}])
def test_a_decay_that_no_schedule_would_read_is_refused(option):
    with pytest.raises(ArgumentError, match="belong to schedule 'step'"):
        TrainingPlan(steps=10, learning_rate=0.1, schedule="cosine", **option)


def test_nesterov_needs_momentum_and_the_edges_are_allowed():
    with pytest.raises(ArgumentError, match="momentum"):
        TrainingPlan(steps=10, learning_rate=0.1, optimizer="nesterov", momentum=0.0)
    TrainingPlan(steps=10, learning_rate=0.1, momentum=0.0, warmup_steps=9)
    TrainingPlan(steps=1, learning_rate=1, schedule="step", decay_every=1, decay_factor=1.0)


def test_unknown_names_get_the_near_miss():
    with pytest.raises(UnknownNameError, match="did you mean 'adamw'"):
        TrainingPlan(steps=10, learning_rate=0.1, optimizer="adanw")
    with pytest.raises(UnknownNameError, match="did you mean 'cosine'"):
        TrainingPlan(steps=10, learning_rate=0.1, schedule="cosin")


def test_every_name_has_a_row():
    assert tuple(OPTIMIZERS) == get_args(OptimizerName)
    assert tuple(SCHEDULES) == get_args(ScheduleName)
