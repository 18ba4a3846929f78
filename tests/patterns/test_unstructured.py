import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thresher.core.errors import ArgumentError, NonFiniteError
from thresher.patterns import Unstructured


@given(st.lists(st.integers(0, 4), max_size=30), st.data())
def test_the_best_weights_stay_the_lower_index_among_equals(values, data):
    kept = data.draw(st.integers(0, len(values)))
    mask = Unstructured().mask(torch.tensor(values, dtype=torch.float32), kept)
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))
    expected = np.zeros(len(values), dtype=bool)
    expected[order[:kept]] = True
    assert np.array_equal(mask.numpy(), expected)


def test_it_follows_the_count_and_changes_no_score():
    scores = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    assert Unstructured().fixed_density is None
    assert torch.equal(Unstructured().pooled(scores), scores)
    assert Unstructured().mask(scores, 7).shape == scores.shape


def test_bad_counts_and_scores_name_the_tensor():
    with pytest.raises(ArgumentError, match=r"fc\.weight"):
        Unstructured().mask(torch.zeros(3), 4, "fc.weight")
    with pytest.raises(NonFiniteError, match=r"fc\.weight"):
        Unstructured().mask(torch.tensor([1.0, float("nan")]), 1, "fc.weight")
