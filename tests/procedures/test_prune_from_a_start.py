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


@pytest.mark.parametrize("pattern", [th.Block((2, 2)), th.Channel(), th.Channel(1)])
def test_groups_that_a_start_has_thinned_out_are_ranked_by_what_is_left(net, pattern):
    draws = torch.Generator().manual_seed(0)
    start = th.Mask({n: torch.rand(p.shape, generator=draws) < 0.5 for n, p in th.prunable(net).items()})
    mask = th.prune(net, th.Magnitude(), sparsity=0.75, pattern=pattern, start=start, allocation=th.Uniform())
    assert not (mask["0.weight"] & ~start["0.weight"]).any()
    for name, share in (("0.weight", 32), ("2.weight", 16)):
        assert abs(mask.counts[name] - share) <= 8  # a group is at most 16, and the nearest number of them is taken


def test_repair_brings_back_the_longest_survivor_whatever_the_scale_of_the_scores():
    class Shrinking:
        """Scores that fall a thousandfold every round; the last layer's are the least."""

        reads_data = False

        def __init__(self):
            self.round = 0

        def scores(self, model, weights, data=None, example=None):
            self.round += 1
            scale = 1e-3**self.round
            return {
                "0.weight": (1.0 + torch.arange(128.0).reshape(16, 8)) * scale,
                "2.weight": (1.0 + torch.arange(64.0).reshape(4, 16)) * scale * 1e-4,
            }

    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    mask = th.prune(net, Shrinking(), sparsity=0.9, schedule=th.Linear(6), on_collapse="repair")
    assert mask["2.weight"].flatten().nonzero().tolist() == [[63]]


@pytest.mark.parametrize("name", ["lstm-s", "gru-s"])
def test_synflow_keeps_recurrent_networks_connected(name):
    net = th.models.build(name)
    mask = th.prune(net, th.SynFlow(), sparsity=0.95, schedule=th.Exponential(10), on_collapse="raise")
    assert min(mask.counts.values()) > 0


def test_a_model_that_does_not_take_the_guessed_input_still_gets_its_mask():
    class Crossed(nn.Module):
        def __init__(self):
            super().__init__()
            self.second, self.first = nn.Linear(4, 2), nn.Linear(8, 4)

        def forward(self, x):
            return self.second(self.first(x))

    net = Crossed()
    with pytest.warns(th.CollapseWarning, match="paths were not checked.*pass example="):
        assert th.prune(net, th.Magnitude(), sparsity=0.5).kept == 20
    assert th.prune(net, th.Magnitude(), sparsity=0.5, example=torch.ones(1, 8)).kept == 20
    with pytest.raises(ArgumentError, match="does not run on example="):
        th.prune(net, th.Magnitude(), sparsity=0.5, example=torch.ones(1, 3))


def test_names_are_taken_literally_before_they_are_patterns():
    net = nn.Module()
    net.add_module("a[0]", nn.Linear(2, 3))
    net.add_module("a0", nn.Linear(2, 3))
    assert "a[0].weight" in th.prunable(net, only=["a[0].weight"])
    assert list(th.prunable(net, only=["a[0].w*"])) == ["a0.weight"]
