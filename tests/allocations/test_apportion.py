"""Hamilton's method by hand, in exact fractions, and its bounds on drawn quotas; Uniform, which is nothing else."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thresher.allocations import Uniform
from thresher.allocations.apportion import apportion

WIDE = {"a": 99, "b": 99, "c": 99}


@pytest.mark.parametrize(
    ("quotas", "total", "expected"),
    [
        ([1.5, 1.5, 7.0], 10, [2, 1, 7]),  # a tie goes to the earlier tensor
        ([1.2, 2.3, 6.5], 10, [1, 2, 7]),
        ([1.4, 1.4, 1.2], 4, [2, 1, 1]),
        ([0.0, 0.0, 5.0], 5, [0, 0, 5]),
        ([3.0, 3.0, 3.0], 6, [2, 2, 2]),  # quotas are shares: they are scaled to the total
        ([0.0, 0.0, 0.0], 2, [1, 1, 0]),
        ([1.0, 2.0, 3.0], 0, [0, 0, 0]),
    ],
)
def test_by_hand(quotas, total, expected):
    assert list(apportion(dict(zip("abc", quotas, strict=True)), WIDE, total).values()) == expected


@pytest.mark.parametrize(
    ("quotas", "limits", "total", "expected"),
    [
        ([8.0, 1.0, 1.0], [2, 9, 9], 10, [2, 4, 4]),  # what is cut goes to the others in proportion
        ([6.0, 3.0, 1.0], [2, 4, 9], 10, [2, 4, 4]),  # cutting one can push the next over its limit
        ([0.0, 0.0, 1.0], [5, 5, 3], 10, [2, 5, 3]),  # nobody asks for the rest, the total is met all the same
        ([1.0, 1.0, 1.0], [0, 0, 3], 3, [0, 0, 3]),
    ],
)
def test_limits_by_hand(quotas, limits, total, expected):
    quotas, limits = (dict(zip("abc", values, strict=True)) for values in (quotas, limits))
    assert list(apportion(quotas, limits, total).values()) == expected


@given(data=st.data())
def test_the_total_is_exact_within_the_limits_for_any_quotas(data):
    limits = data.draw(st.dictionaries(st.text("abcdef", min_size=1), st.integers(0, 40), min_size=1, max_size=6))
    quotas = {name: data.draw(st.floats(0, 1e9)) for name in limits}
    total = data.draw(st.integers(0, sum(limits.values())))
    counts = apportion(quotas, limits, total)
    assert list(counts) == list(quotas)
    assert sum(counts.values()) == total
    assert all(0 <= counts[name] <= limits[name] for name in limits)


@given(sizes=st.lists(st.integers(0, 300), min_size=1, max_size=6), data=st.data())
def test_uniform_rounds_every_exact_quota_to_a_neighbouring_whole_number(sizes, data):
    total = sum(sizes)
    kept = data.draw(st.integers(0, total))
    counts = Uniform().counts({f"t{i}": torch.zeros(size) for i, size in enumerate(sizes)}, kept)
    assert sum(counts.values()) == kept
    for count, size in zip(counts.values(), sizes, strict=True):
        quota = Fraction(kept * size, total) if total else Fraction(0)
        assert math.floor(quota) <= count <= math.ceil(quota)


def test_uniform_by_hand():
    scores = {"conv": torch.zeros(2, 3, 3), "fc": torch.zeros(4, 6)}
    assert Uniform().counts(scores, 21) == {"conv": 9, "fc": 12}
    assert Uniform().counts(scores, 20) == {"conv": 9, "fc": 11}  # quotas 8.57 and 11.43
    assert Uniform().counts(scores, 1) == {"conv": 0, "fc": 1}
    scores["fc"][:3] = -math.inf  # 6 left of 24
    assert Uniform().counts(scores, 20) == {"conv": 14, "fc": 6}
