"""Going on from a mask: totals, protection, and asking for more than is left."""

import pytest
import torch
from torch import nn

import thresher as th
from thresher.core.errors import ArgumentError


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))


@pytest.fixture
def start(net):
    return th.prune(net, th.Magnitude(), sparsity=0.4)


@pytest.mark.parametrize("sparsity", [0.5, 0.6, 0.8])
@pytest.mark.parametrize("schedule", [th.OneShot(), th.Exponential(5), th.Linear(3)])
def test_the_total_is_exact_with_protected_tensors_that_are_sparse_already(net, start, sparsity, schedule):
    mask = th.prune(net, th.Magnitude(), sparsity=sparsity, start=start, protect=["last"], schedule=schedule)
    assert mask.kept == round(192 * (1 - sparsity))
    assert torch.equal(mask["2.weight"], start["2.weight"])
    assert not (mask["0.weight"] & ~start["0.weight"]).any()


def test_more_than_is_left_is_refused(net, start):
    with pytest.raises(ArgumentError, match="only 115 left"):
        th.prune(net, th.Magnitude(), sparsity=0.3, start=start)
    left = int(start["0.weight"].sum())
    with pytest.raises(ArgumentError, match=f"more than the {left} weights"):
        th.prune(net, th.Magnitude(), sparsity={"0.weight": 0.01}, start=start)


def test_a_tensor_without_a_sparsity_stays_as_the_start_left_it(net, start):
    mask = th.prune(net, th.Magnitude(), sparsity={"0.weight": 0.75}, start=start)
    assert torch.equal(mask["2.weight"], start["2.weight"])
    assert mask.counts["0.weight"] == 32


@pytest.mark.parametrize("pattern", [th.NofM(2, 4), th.Block((2, 2)), th.Channel()])
def test_repair_would_break_a_pattern_and_is_refused(net, pattern):
    with pytest.raises(ArgumentError, match="break the pattern"):
        th.prune(net, th.Magnitude(), sparsity=0.5, pattern=pattern, on_collapse="repair")


@pytest.mark.parametrize("make", [lambda: th.NofM(1.5, 4), lambda: th.Block((1.5, 2)), lambda: th.Block((0, 2))])
def test_sizes_that_are_no_whole_numbers_are_refused(make):
    with pytest.raises(ArgumentError):
        make()


def test_synflow_sees_all_steps_of_a_recurrent_layer_that_wants_them_first():
    torch.manual_seed(0)
    rnn = nn.RNN(3, 4)
    given = th.SynFlow().scores(rnn, th.prunable(rnn), example=torch.randn(5, 7, 3))
    assert bool((given["weight_hh_l0"] > 0).all())
