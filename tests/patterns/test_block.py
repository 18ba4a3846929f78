"""Blocks and channels against a loop over blocks in float64."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thresher.core.errors import ArgumentError
from thresher.patterns import Block, Channel


def keep_by_loop(scores, sides, pool, kept):
    """Blocks in reading order, sorted by falling pooled score; as many as come nearest to `kept` weights."""
    sides = [*sides, *scores.shape[len(sides) :]]
    starts = itertools.product(*(range(0, length, side) for length, side in zip(scores.shape, sides, strict=True)))
    blocks = [tuple(slice(s, s + side) for s, side in zip(start, sides, strict=True)) for start in starts]
    value = {"mean": lambda block: float(scores[block].mean()), "max": lambda block: float(scores[block].max())}
    blocks.sort(key=lambda block: -value[pool](block))
    sizes = [scores[block].numel() for block in blocks]
    totals = list(itertools.accumulate(sizes, initial=0))
    best = min(range(len(totals)), key=lambda count: (abs(totals[count] - kept), count))
    mask = torch.zeros_like(scores, dtype=torch.bool)
    for block in blocks[:best]:
        mask[block] = True
    return mask


@st.composite
def tensors(draw):
    """Small tensors of whole numbers: their sums are exact, and ties common."""
    shape = draw(st.lists(st.integers(1, 4), min_size=2, max_size=4))
    size = math.prod(shape)
    values = draw(st.lists(st.integers(-3, 6), min_size=size, max_size=size))
    return torch.tensor(values, dtype=torch.float64).view(shape)


@given(data=st.data(), scores=tensors(), pool=st.sampled_from(["mean", "max"]))
def test_the_best_blocks_stay(data, scores, pool):
    sides = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=scores.dim())))
    kept = data.draw(st.integers(0, scores.numel()))
    mask = Block(sides, pool).mask(scores, kept)
    assert torch.equal(mask, keep_by_loop(scores, sides, pool, kept))


@given(data=st.data(), scores=tensors(), pool=st.sampled_from(["mean", "max"]))
def test_the_best_channels_stay(data, scores, pool):
    axis = data.draw(st.integers(-scores.dim(), scores.dim() - 1))
    kept = data.draw(st.integers(0, scores.numel()))
    mask = Channel(axis, pool).mask(scores, kept)
    in_front = scores.movedim(axis, 0)
    expected = keep_by_loop(in_front, [1], pool, kept).movedim(0, axis)
    assert torch.equal(mask, expected)


def test_pooled_is_the_mean_or_maximum_over_the_weights_a_block_has():
    scores = torch.arange(15.0).view(3, 5)
    mean = [[3, 3, 5, 5, 6.5], [3, 3, 5, 5, 6.5], [10.5, 10.5, 12.5, 12.5, 14]]
    assert Block((2, 2)).pooled(scores).tolist() == mean
    maximum = [[6, 6, 8, 8, 9], [6, 6, 8, 8, 9], [11, 11, 13, 13, 14]]
    assert Block((2, 2), "max").pooled(scores).tolist() == maximum
    assert Channel(1).pooled(scores)[0].tolist() == [5, 6, 7, 8, 9]


def test_a_convolutions_block_takes_the_kernel_whole():
    scores = torch.randn(4, 6, 3, 3, generator=torch.Generator().manual_seed(0))
    mask = Block((2, 3)).mask(scores, 2 * 54)
    assert mask.sum() == 108
    assert mask.view(2, 2, 2, 3, 9).sum((1, 3, 4)).unique().tolist() == [0, 54]


def test_a_tensor_with_fewer_dimensions_is_refused_by_name():
    with pytest.raises(ArgumentError, match=r"blocks of shape \(2, 2\) do not fit bias of shape \(4,\).*protect"):
        Block((2, 2)).mask(torch.zeros(4), 2, "bias")
    with pytest.raises(ArgumentError, match=r"bias of shape \(4,\) has no axis 1"):
        Channel(1).mask(torch.zeros(4), 2, "bias")


@pytest.mark.parametrize("shape", [(), (0, 2), (2, -1)])
def test_sides_are_positive(shape):
    with pytest.raises(ArgumentError, match="positive sides"):
        Block(shape)


@pytest.mark.parametrize("make", [lambda: Block((2,), "sum"), lambda: Channel(pool="sum").mask(torch.ones(2, 2), 2)])
def test_the_pool_is_mean_or_max(make):
    with pytest.raises(ArgumentError, match="'mean' or 'max': got 'sum'"):
        make()
