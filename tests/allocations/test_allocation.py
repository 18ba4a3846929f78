"""The family contract: totals exact to one weight whatever the shapes, nobody revived, nonsense refused."""

import copy
import dataclasses
import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thresher.allocations import ALLOCATIONS, ERK, LAMP, Global, PerTensor, Uniform
from thresher.core.errors import ArgumentError
from thresher.core.topk import top_k

INSTANCES = {"global": Global(), "uniform": Uniform(), "erk": ERK(), "lamp": LAMP(), "per-tensor": PerTensor()}
EACH = pytest.mark.parametrize("allocation", INSTANCES.values(), ids=INSTANCES)
# PerTensor has its total from its own sparsities; test_per_tensor.py draws those
ANY_TOTAL = pytest.mark.parametrize("allocation", [v for n, v in INSTANCES.items() if n != "per-tensor"])


@st.composite
def some_scores(draw):
    """One to five tensors, scalars and empty ones among them, with many ties and some weights removed."""
    tensors = {}
    for i in range(draw(st.integers(1, 5))):
        shape = draw(st.lists(st.integers(0, 4), max_size=4))
        size = math.prod(shape)
        values = draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 7.0, -math.inf]), min_size=size, max_size=size))
        tensors[f"layer{i}.weight"] = torch.tensor(values).view(shape)
    return tensors


def left_of(scores):
    return {name: int((tensor > -math.inf).sum()) for name, tensor in scores.items()}


def test_the_table_holds_these_allocations():
    assert {name: type(allocation) for name, allocation in INSTANCES.items()} == ALLOCATIONS


@ANY_TOTAL
@given(scores=some_scores(), data=st.data())
def test_the_total_is_exact_and_no_tensor_gets_more_than_it_has_left(allocation, scores, data):
    left = left_of(scores)
    kept = data.draw(st.integers(0, sum(left.values())))
    counts = allocation.counts(scores, kept)
    assert list(counts) == list(scores)
    assert all(type(count) is int for count in counts.values())
    assert sum(counts.values()) == kept
    assert all(0 <= counts[name] <= left[name] for name in scores)
    assert counts == allocation.counts(scores, kept)


@ANY_TOTAL
@given(scores=some_scores(), data=st.data())
def test_over_rounds_totals_fall_as_asked_and_no_tensor_grows(allocation, scores, data):
    left = left_of(scores)
    rounds = data.draw(st.lists(st.integers(0, sum(left.values())), min_size=1, max_size=5))
    for kept in sorted(rounds, reverse=True):
        counts = allocation.counts(scores, kept)
        assert sum(counts.values()) == kept
        assert all(counts[name] <= left[name] for name in scores)
        scores = {n: s.masked_fill(~top_k(s, counts[n]), -math.inf) for n, s in scores.items()}
        left = left_of(scores)
        assert left == counts  # the best that are kept are never ones removed before


@EACH
def test_all_kept_is_all_kept(allocation):
    scores = {"a": torch.ones(3, 4), "empty": torch.ones(0, 7), "b": torch.ones(5)}
    assert allocation.counts(scores, 17) == {"a": 12, "empty": 0, "b": 5}


@ANY_TOTAL
@pytest.mark.parametrize("kept", [-1, 11])
def test_a_total_that_cannot_be_is_refused(allocation, kept):
    scores = {"a": torch.ones(3, 3), "b": torch.tensor([1.0, -math.inf])}
    with pytest.raises(ArgumentError, match=rf"cannot keep {kept} weights.*have 10 left"):
        allocation.counts(scores, kept)


@EACH
def test_the_scores_and_the_random_state_are_left_alone(allocation):
    scores = {"a": torch.rand(6, 4, generator=torch.Generator().manual_seed(0)), "b": torch.ones(2)}
    before = {name: tensor.clone() for name, tensor in scores.items()}
    state = torch.get_rng_state()
    allocation.counts(scores, 26)
    assert all(torch.equal(before[name], scores[name]) for name in scores)
    assert torch.equal(torch.get_rng_state(), state)


@ANY_TOTAL
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_count_the_same(allocation, dtype):
    scores = {"a": torch.arange(24.0).view(6, 4), "b": torch.arange(10.0, 20.0)}
    typed = {name: tensor.to(dtype) for name, tensor in scores.items()}
    assert allocation.counts(typed, 13) == allocation.counts(scores, 13)


@EACH
def test_an_allocation_is_a_frozen_value(allocation):
    assert copy.deepcopy(allocation) == allocation == pickle.loads(pickle.dumps(allocation))
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
        allocation.sparsities = {}
