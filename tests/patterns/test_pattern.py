"""The family contract: every row of PATTERNS makes a bool mask, touches nothing, and refuses nonsense."""

import copy
import dataclasses
import pickle

import pytest
import torch

from thresher.core.errors import ArgumentError, NonFiniteError
from thresher.patterns import PATTERNS, Block, Channel, NofM, Unstructured

INSTANCES = {"unstructured": Unstructured(), "n:m": NofM(2, 4), "block": Block((2, 3)), "channel": Channel()}
EACH = pytest.mark.parametrize("pattern", INSTANCES.values(), ids=INSTANCES)


@pytest.fixture
def scores():
    return torch.randn(6, 8, 3, generator=torch.Generator().manual_seed(0))


def test_the_table_holds_these_patterns():
    assert {name: type(pattern) for name, pattern in INSTANCES.items()} == PATTERNS


@EACH
def test_the_mask_is_bool_shaped_like_the_scores_and_depends_on_nothing_else(pattern, scores):
    before, state = scores.clone(), torch.get_rng_state()
    mask = pattern.mask(scores, 72)
    assert mask.dtype is torch.bool
    assert mask.shape == scores.shape
    assert torch.equal(mask, pattern.mask(scores, 72))
    assert torch.equal(scores, before)
    assert torch.equal(torch.get_rng_state(), state)


@EACH
def test_other_memory_layouts_and_dtypes_choose_the_same(pattern, scores):
    expected = pattern.mask(scores, 72)
    strided = scores.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    assert not strided.is_contiguous()
    assert torch.equal(pattern.mask(strided, 72), expected)
    assert torch.equal(pattern.mask(scores.double(), 72), expected)
    assert torch.equal(pattern.mask(scores.clone().requires_grad_(), 72), expected)


@EACH
def test_none_and_all_can_be_kept(pattern, scores):
    assert not pattern.mask(scores, 0).any()
    assert pattern.mask(scores, scores.numel()).all()


@EACH
@pytest.mark.parametrize("shape", [(0, 8), (4, 0), (0, 8, 3), (6, 8, 0)])
def test_an_empty_tensor_has_an_empty_mask(pattern, shape):
    assert pattern.mask(torch.zeros(shape), 0).shape == shape
    assert pattern.pooled(torch.zeros(shape)).shape == shape


@EACH
@pytest.mark.parametrize("kept", [-1, 145])
def test_a_count_that_cannot_be_is_refused_by_name(pattern, scores, kept):
    with pytest.raises(ArgumentError, match=rf"conv\.weight is a count in \[0, 144\]: got {kept}"):
        pattern.mask(scores, kept, "conv.weight")


@EACH
def test_a_nan_score_is_refused_by_name(pattern, scores):
    scores[1, 2, 0] = torch.nan
    with pytest.raises(NonFiniteError, match=r"conv\.weight"):
        pattern.mask(scores, 72, "conv.weight")


@EACH
def test_pooled_scores_of_what_goes_together_are_equal(pattern, scores):
    pooled = pattern.pooled(scores)
    assert pooled.shape == scores.shape
    # what is kept when 36 are asked for outscores, pooled, everything that is removed, but for the rounding
    mask = pattern.mask(scores, 36)
    if pattern.fixed_density is None:
        assert pooled[mask].min() >= pooled[~mask].max()


def test_only_n_of_m_fixes_the_density():
    assert {name: p.fixed_density for name, p in INSTANCES.items()} == {
        "unstructured": None, "n:m": 0.5, "block": None, "channel": None,
    }  # fmt: skip


@EACH
def test_a_pattern_is_a_frozen_value(pattern):
    assert copy.deepcopy(pattern) == pattern == pickle.loads(pickle.dumps(pattern))
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
        pattern.axis = 3
