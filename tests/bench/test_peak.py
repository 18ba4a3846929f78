import itertools

import pytest

from thresher.bench.peak import multiply_add_peak


def test_the_peak_is_the_best_rate_over_sizes_and_repeats():
    seconds = iter([0.5, 0.25, 4.0, 0.125])
    times = itertools.accumulate(itertools.chain.from_iterable((0.0, taken) for taken in seconds))
    found = multiply_add_peak((2, 4), 2, clock=lambda: next(times))
    assert found == pytest.approx(max(8 / 0.5, 8 / 0.25, 64 / 4.0, 64 / 0.125))
