"""The family contract: every row of SCHEDULES rises from 0 to the final sparsity and refuses nonsense."""

import copy
import dataclasses
import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher.core.errors import ArgumentError
from thresher.schedules import SCHEDULES, OneShot

ROUNDS = sorted(set(SCHEDULES) - {"one-shot"})


def test_the_table_holds_these_schedules():
    assert set(SCHEDULES) == {"one-shot", "exponential", "linear", "cubic"}


@pytest.mark.parametrize("name", SCHEDULES)
@given(final=st.floats(0, 1, exclude_max=True), points=st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_starts_at_zero_ends_at_the_final_sparsity_and_never_falls(name, final, points):
    schedule = SCHEDULES[name]()
    assert schedule.at(0.0, final) == 0.0
    assert schedule.at(1.0, final) == final  # to the bit: the last round sets the total
    path = [schedule.at(point, final) for point in sorted(points)]
    assert all(0.0 <= value <= final for value in path)
    assert path == sorted(path)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("progress", [-1e-9, 1.0 + 1e-9, math.nan, math.inf])
def test_progress_outside_the_unit_interval_is_refused(name, progress):
    with pytest.raises(ArgumentError, match="progress"):
        SCHEDULES[name]().at(progress, 0.5)


@pytest.mark.parametrize("name", ROUNDS)
@pytest.mark.parametrize("rounds", [0, -3, 2.0, True, "5", None])
def test_rounds_is_a_positive_whole_number(name, rounds):
    with pytest.raises(ArgumentError, match=f"rounds.*got {rounds!r}"):
        SCHEDULES[name](rounds)


@pytest.mark.parametrize("name", ROUNDS)
def test_rounds_are_kept_and_a_single_round_is_one_shot(name):
    assert SCHEDULES[name](7).rounds == 7
    assert SCHEDULES[name](1).at(1.0, 0.9) == OneShot().at(1.0, 0.9) == 0.9


def test_one_shot_is_done_from_the_first_moment():
    assert OneShot().rounds == 1
    assert OneShot().at(1e-12, 0.7) == 0.7


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_a_frozen_value(name):
    schedule = SCHEDULES[name]()
    assert copy.deepcopy(schedule) == schedule == pickle.loads(pickle.dumps(schedule))
    assert hash(schedule) == hash(SCHEDULES[name]())
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError)):
        schedule.rounds = 3
