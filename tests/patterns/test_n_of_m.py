"""n:m against a loop over groups with Python's stable sort."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thresher.core.errors import ArgumentError
from thresher.patterns import NofM


def keep_by_loop(scores, n, m, axis):
    """The mask, group after group: sort by falling score, stable, and keep the first n."""
    mask = torch.zeros_like(scores, dtype=torch.bool)
    axis %= scores.dim()
    others = [range(size) for d, size in enumerate(scores.shape) if d != axis]
    for place in itertools.product(*others):
        for start in range(0, scores.shape[axis], m):
            group = [(*place[:axis], i, *place[axis:]) for i in range(start, start + m)]
            for index in sorted(group, key=lambda index: -float(scores[index]))[:n]:
                mask[index] = True
    return mask


@given(data=st.data())
def test_every_group_keeps_its_n_best_and_the_lower_index_among_equals(data):
    m = data.draw(st.sampled_from([2, 4]))
    n = data.draw(st.integers(1, m))
    axis = data.draw(st.integers(-3, 2))
    shape = [data.draw(st.integers(1, 3)) for _ in range(3)]
    shape[axis] = m * data.draw(st.integers(1, 2))
    size = math.prod(shape)
    # few distinct values, so that ties are common; some removed already
    values = data.draw(st.lists(st.sampled_from([0.0, 1.0, 2.0, -math.inf]), min_size=size, max_size=size))
    scores = torch.tensor(values).view(shape)
    mask = NofM(n, m, axis).mask(scores, size * n // m)
    assert torch.equal(mask, keep_by_loop(scores, n, m, axis))


@pytest.mark.parametrize(("kept", "per_group"), [(32, 4), (25, 4), (24, 3), (17, 3), (16, 2), (1, 1), (0, 0)])
def test_on_the_way_a_group_keeps_the_least_that_gives_what_is_asked_for(kept, per_group):
    scores = torch.randn(4, 8, generator=torch.Generator().manual_seed(1))
    mask = NofM(1, 4).mask(scores, kept)
    assert mask.view(4, 2, 4).sum(-1).unique().tolist() == [per_group]


def test_the_default_axis_is_the_input_dimension_of_a_convolution():
    scores = torch.randn(3, 8, 3, 3, generator=torch.Generator().manual_seed(2))
    mask = NofM(2, 4).mask(scores, scores.numel() // 2)
    assert mask.view(3, 2, 4, 3, 3).sum(2).eq(2).all()
    assert mask.is_contiguous()


@pytest.mark.parametrize(("shape", "axis"), [((2, 4, 4), 0), ((2, 5, 3), 1), ((6, 6), 1), ((8,), 1), ((8,), -2)])
def test_a_dimension_that_does_not_fit_is_refused_by_name(shape, axis):
    with pytest.raises(ArgumentError, match=r"2:4 along axis .* does not fit 0\.weight .*protect=\['0\.weight'\]"):
        NofM(2, 4, axis).mask(torch.zeros(shape), 2, "0.weight")


@pytest.mark.parametrize(("n", "m"), [(4, 2), (0, 4), (-1, 4), (0, 0)])
def test_n_is_at_least_one_and_at_most_m(n, m):
    with pytest.raises(ArgumentError, match=f"got {n}:{m}"):
        NofM(n, m)
