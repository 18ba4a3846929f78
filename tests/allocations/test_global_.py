"""Global against one stable NumPy argsort over everything."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thresher.allocations import Global
from thresher.core.errors import NonFiniteError


@given(data=st.data())
def test_counts_are_those_of_one_argsort_ties_to_the_earlier_tensor(data):
    sizes = data.draw(st.lists(st.integers(0, 8), min_size=1, max_size=4))
    total = sum(sizes)
    values = data.draw(st.lists(st.sampled_from([-2.0, 0.0, 0.25, 1.0, 3.0]), min_size=total, max_size=total))
    kept = data.draw(st.integers(0, total))
    flat = np.array(values, dtype=np.float64)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    chosen = owner[np.argsort(-flat, kind="stable")[:kept]]
    expected = np.bincount(chosen, minlength=len(sizes)).tolist()
    parts = torch.tensor(values, dtype=torch.float64).split(sizes)
    counts = Global().counts({f"t{i}": part for i, part in enumerate(parts)}, kept)
    assert list(counts.values()) == expected


def test_more_kept_never_means_less_anywhere():
    draw = torch.Generator().manual_seed(0)
    scores = {"a": torch.randn(9, 5, generator=draw), "b": torch.randn(7, generator=draw).round()}
    path = [Global().counts(scores, kept) for kept in range(53)]
    assert all(lower[n] <= upper[n] for lower, upper in pairwise(path) for n in scores)


def test_tensors_of_different_precision_are_compared_by_value():
    # 1 + 2^-30 is 1 in float32 and more than 1 in float64
    scores = {"a": torch.tensor([1.0], dtype=torch.float32), "b": torch.tensor([1 + 2**-30], dtype=torch.float64)}
    assert Global().counts(scores, 1) == {"a": 0, "b": 1}


def test_a_nan_is_refused():
    with pytest.raises(NonFiniteError, match="1 of 3"):
        Global().counts({"a": torch.tensor([1.0, math.nan]), "b": torch.tensor([2.0])}, 1)
