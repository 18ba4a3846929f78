import sys

import numpy as np
import pytest
from scipy import stats

from thresher.core.errors import ArgumentError, MissingExtraError
from thresher.experiments.interval import estimate

# the 97.5 % points of Student's t as tables print them, by degrees of freedom
T_TABLE = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262, 19: 2.093}


@pytest.mark.parametrize(("degrees", "t"), T_TABLE.items())
def test_the_interval_is_that_of_the_printed_table(degrees, t):
    values = np.random.default_rng(degrees).normal(2.0, 0.3, degrees + 1)
    found = estimate(values)
    assert found.n == degrees + 1
    assert found.mean == pytest.approx(values.mean(), rel=1e-14)
    assert found.deviation == pytest.approx(values.std(ddof=1), rel=1e-12)
    # the table has three decimals
    assert found.half_width * np.sqrt(len(values)) / values.std(ddof=1) == pytest.approx(t, abs=5e-4)
    assert (found.minimum, found.maximum) == (values.min(), values.max())


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_the_ends_are_scipys_at_any_confidence(confidence):
    values = np.random.default_rng(7).normal(5.0, 2.0, 6)
    ends = stats.t.interval(confidence, 5, loc=values.mean(), scale=stats.sem(values))
    assert estimate(values, confidence).interval == pytest.approx(ends, rel=1e-10)


def test_the_interval_covers_the_true_mean_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(1.0, 1.0, (2000, 3))
    low, high = np.array([estimate(row).interval for row in draws]).T
    covered = np.mean((low <= 1.0) & (high >= 1.0))
    assert abs(covered - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 2000)


def test_one_value_has_neither_deviation_nor_interval():
    found = estimate([1.7])
    assert (found.n, found.mean, found.deviation, found.half_width, found.interval) == (1, 1.7, None, None, None)


def test_equal_values_have_no_interval():
    found = estimate([0.1, 0.1, 0.1])
    assert (found.deviation, found.half_width, found.interval) == (0.0, None, None)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_nothing_and_what_is_not_finite_are_refused(values):
    with pytest.raises(ArgumentError, match="finite values"):
        estimate(values)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, float("nan")])
def test_a_confidence_is_a_fraction(confidence):
    with pytest.raises(ArgumentError, match="confidence"):
        estimate([1.0, 2.0], confidence)


def test_without_scipy_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(MissingExtraError, match=r"thresher\[compare\]"):
        estimate([1.0, 2.0])
    assert estimate([1.0]).mean == 1.0
