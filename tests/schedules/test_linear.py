import numpy as np
import pytest

from thresher.core.errors import ArgumentError
from thresher.schedules import Linear


def test_the_same_number_every_round():
    sparsities = [Linear(8).at(k / 8, 0.96) for k in range(9)]
    assert sparsities == pytest.approx(np.linspace(0, 0.96, 9))
    assert sparsities[-1] == 0.96


@pytest.mark.parametrize("rounds", [0, -1, 2.0, True, "3"])
def test_rounds_that_are_no_count(rounds):
    with pytest.raises(ArgumentError, match="rounds"):
        Linear(rounds)
