"""LAMP against a loop in float64 and, where scores tie, in exact fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thresher.allocations import LAMP
from thresher.core.errors import ArgumentError, NonFiniteError


def count_by_loop(tensors, kept):
    """Counts per tensor: the definition, weight by weight, then a stable global sort."""
    ranked = []
    for number, scores in enumerate(tensors):
        for i, score in enumerate(scores):
            not_smaller = [s for j, s in enumerate(scores) if s > score or (s == score and j <= i)]
            total = sum(s * s for s in not_smaller)
            ranked.append((score * score / total if total else score * 0, number))
    best = sorted(ranked, key=lambda pair: -pair[0])[:kept]
    return [sum(owner == number for _, owner in best) for number in range(len(tensors))]


@pytest.mark.parametrize("kept", [3, 20, 70, 119, 166])
def test_counts_are_the_definitions_on_drawn_magnitudes(kept):
    draw = np.random.default_rng(0)
    tensors = [np.abs(draw.normal(scale=s, size=n)) for s, n in [(1.0, 60), (0.1, 100), (30.0, 7)]]
    counts = LAMP().counts({f"t{i}": torch.from_numpy(t) for i, t in enumerate(tensors)}, kept)
    assert list(counts.values()) == count_by_loop([t.tolist() for t in tensors], kept)


@given(data=st.data())
def test_tied_whole_numbers_are_counted_as_in_exact_fractions(data):
    numbers = st.lists(st.integers(0, 3), max_size=5)
    tensors = data.draw(st.lists(numbers, min_size=1, max_size=3))
    kept = data.draw(st.integers(0, sum(map(len, tensors))))
    scores = {f"t{i}": torch.tensor(t, dtype=torch.float32) for i, t in enumerate(tensors)}
    expected = count_by_loop([[Fraction(s) for s in t] for t in tensors], kept)
    assert list(LAMP().counts(scores, kept).values()) == expected


@pytest.mark.parametrize("scale", [2.0**-900, 1e-200, 1e-160, 1e160, 1e300, 2.0**1000])
def test_the_scale_of_a_tensor_does_not_matter_even_where_squares_leave_float64(scale):
    draw = np.random.default_rng(1)
    scores = {name: torch.from_numpy(draw.random(size)) for name, size in [("a", 30), ("b", 50)]}
    expected = LAMP().counts(scores, 33)
    assert LAMP().counts({"a": scores["a"] * scale, "b": scores["b"]}, 33) == expected


def test_no_tensor_is_emptied_before_all_are_down_to_one_weight():
    scores = {f"t{i}": torch.rand(n, generator=torch.Generator().manual_seed(i)) ** 9 for i, n in enumerate([2, 90, 8])}
    assert LAMP().counts(scores, 3) == {"t0": 1, "t1": 1, "t2": 1}


def test_removed_weights_count_in_no_sum():
    with_removed = {"a": torch.tensor([2.0, -math.inf, 1.0]), "b": torch.tensor([3.0, 2.0, -math.inf])}
    without = {"a": torch.tensor([2.0, 1.0]), "b": torch.tensor([3.0, 2.0])}
    for kept in range(5):
        assert LAMP().counts(with_removed, kept) == LAMP().counts(without, kept)


def test_a_removed_weight_ranks_below_a_kept_one_that_scores_zero():
    scores = {"a": torch.tensor([2.0, -math.inf, -math.inf]), "b": torch.tensor([0.0])}
    assert LAMP().counts(scores, 2) == {"a": 1, "b": 1}


def test_negative_scores_are_refused_by_name_and_nan_too():
    with pytest.raises(ArgumentError, match="fc2 has some below"):
        LAMP().counts({"fc1": torch.ones(2), "fc2": torch.tensor([1.0, -0.1])}, 2)
    with pytest.raises(NonFiniteError):
        LAMP().counts({"fc1": torch.tensor([1.0, math.nan])}, 1)
