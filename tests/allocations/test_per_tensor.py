"""Per tensor: exactly the sparsities that were written down."""

import math
from decimal import Decimal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thresher.allocations import PerTensor
from thresher.core.errors import ArgumentError, UnknownNameError

SCORES = {"fc1.weight": torch.zeros(10, 10), "fc2.weight": torch.zeros(5, 10), "fc3.weight": torch.zeros(7)}


@given(sparsities=st.lists(st.floats(0, 1, exclude_max=True), min_size=2, max_size=2))
def test_each_tensor_keeps_what_its_sparsity_rounds_to_and_the_rest_is_dense(sparsities):
    first, second = sparsities
    kept = [round((1 - Decimal(repr(s))) * size) for s, size in ((first, 100), (second, 7))]  # half to even
    expected = {"fc1.weight": kept[0], "fc2.weight": 50, "fc3.weight": kept[1]}
    counts = PerTensor({"fc3.weight": second, "fc1.weight": first}).counts(SCORES, sum(expected.values()))
    assert counts == expected


def test_a_total_that_the_sparsities_do_not_add_up_to_is_refused():
    with pytest.raises(ArgumentError, match="keep 107 weights, not 108"):
        PerTensor({"fc1.weight": 0.5}).counts(SCORES, 108)


def test_an_unknown_name_is_refused_with_the_near_miss():
    with pytest.raises(UnknownNameError, match=r"'fc1\.wieght'.*did you mean 'fc1\.weight'"):
        PerTensor({"fc1.wieght": 0.5}).counts(SCORES, 157)


@pytest.mark.parametrize("sparsity", [1.0, -0.1, 90, math.nan, "0.5", None])
def test_a_sparsity_outside_the_range_is_refused_by_name(sparsity):
    with pytest.raises(ArgumentError, match=rf"sparsity of fc1\.weight.*got {sparsity!r}"):
        PerTensor({"fc1.weight": sparsity})
