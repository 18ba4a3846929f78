import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher.bench.spread import ratios, spread

SECONDS = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=30)


@given(SECONDS)
def test_median_and_quartiles_are_numpys(samples):
    found = spread(samples)
    lower, middle, upper = np.percentile(samples, [25, 50, 75])
    assert found["count"] == len(samples)
    assert found["lower_quartile"] == pytest.approx(lower)
    assert found["median"] == pytest.approx(middle)
    assert found["upper_quartile"] == pytest.approx(upper)


@given(SECONDS, st.floats(0.1, 10.0), st.integers(0, 2**32 - 1))
def test_what_slows_a_whole_round_leaves_the_ratio_alone(samples, factor, seed):
    slowed = np.random.default_rng(seed).uniform(1.0, 50.0, len(samples))
    above = [factor * a * s for a, s in zip(samples, slowed, strict=True)]
    below = [a * s for a, s in zip(samples, slowed, strict=True)]
    found = ratios(above, below)
    assert [found[key] for key in ("lower_quartile", "median", "upper_quartile")] == pytest.approx([factor] * 3)


def test_the_median_of_ratios_is_not_the_ratio_of_medians():
    assert ratios([1.0, 2.0, 9.0], [1.0, 4.0, 3.0])["median"] == 1.0  # of 1, 1/2, 3; the medians' would be 2/3


def test_rounds_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0, 2.0], [1.0])
