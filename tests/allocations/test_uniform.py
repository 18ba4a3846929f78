from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thresher.allocations import Uniform
from thresher.core.errors import ArgumentError


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.data())
def test_every_count_is_within_one_of_its_share_and_the_total_is_exact(sizes, data):
    kept = data.draw(st.integers(0, sum(sizes)))
    counts = Uniform().counts({str(i): torch.zeros(n) for i, n in enumerate(sizes)}, kept)
    assert sum(counts.values()) == kept
    for count, size in zip(counts.values(), sizes, strict=True):
        share = Fraction(kept * size, sum(sizes)) if sum(sizes) else Fraction(0)
        assert abs(count - share) < 1
        assert 0 <= count <= size


def test_shares_that_come_out_even_are_met_exactly():
    shapes = {"fc1": (300, 784), "fc2": (100, 300), "fc3": (10, 100)}
    counts = Uniform().counts({name: torch.zeros(shape) for name, shape in shapes.items()}, 26620)
    assert counts == {"fc1": 23520, "fc2": 3000, "fc3": 100}


def test_a_tensor_gets_no_more_than_it_has_left():
    scores = {"a": torch.zeros(10), "b": torch.zeros(10)}
    scores["a"][:9] = -torch.inf
    assert Uniform().counts(scores, 8) == {"a": 1, "b": 7}
    with pytest.raises(ArgumentError, match="11 left"):
        Uniform().counts(scores, 12)
