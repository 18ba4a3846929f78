import pytest

from thresher.core.errors import ArgumentError
from thresher.schedules import OneShot


def test_everything_in_the_one_round():
    assert OneShot().rounds == 1
    assert OneShot().at(0.0, 0.9) == 0.0
    assert [OneShot().at(progress, 0.9) for progress in (0.001, 0.5, 1.0)] == [0.9] * 3


@pytest.mark.parametrize("progress", [-0.1, 1.1, float("nan")])
def test_progress_outside_is_refused(progress):
    with pytest.raises(ArgumentError, match="progress"):
        OneShot().at(progress, 0.9)
