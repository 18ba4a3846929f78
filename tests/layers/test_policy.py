"""Which layers can be sparse, and what "auto" makes of their costs."""

import pytest
import torch
from torch import nn

import thresher as th
from thresher.core.errors import ArgumentError
from thresher.layers.cost_model import LayerCost
from thresher.layers.policy import able_layers, chosen


def masked(model, kept=1.0):
    """Every layer with weights → their masks, which keep that share."""
    draws = torch.Generator().manual_seed(0)
    return {
        module: {
            name: torch.rand(p.shape, generator=draws) < kept for name, p in module.named_parameters(recurse=False)
        }
        for module in model.modules()
        if next(module.parameters(recurse=False), None) is not None
    }


def test_layers_with_a_sparse_form_are_able_and_others_are_not():
    net = nn.ModuleList(
        [
            nn.Linear(2, 2), nn.Conv1d(2, 2, 1), nn.Conv2d(2, 2, 1), nn.LSTM(2, 2), nn.GRU(2, 2),
            nn.Conv3d(2, 2, 1), nn.Bilinear(2, 2, 2), nn.LSTM(2, 3, proj_size=2), nn.BatchNorm1d(2),
            nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), nn.Linear(2, 2).half(),
        ]
    )  # fmt: skip
    assert able_layers(net, masked(net)) == list(net[:5])


def test_layers_whose_weights_others_use_are_not():
    net = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.TransformerEncoderLayer(2, 1, 4), nn.Linear(2, 2)])
    net[1].bias = net[0].bias
    assert able_layers(net, masked(net)) == [net[3]]


def test_a_masked_bias_alone_makes_no_layer_sparse():
    layer = nn.Linear(2, 2)
    assert able_layers(layer, {layer: {"bias": torch.ones(2, dtype=torch.bool)}}) == []


class Costs:
    """Costs by the kind of layer, and a record of what was asked for."""

    def __init__(self, *by_number, **by_kind):
        self.by_number, self.by_kind, self.asked = list(by_number), by_kind, []

    def __call__(self, probes):
        self.asked += probes
        return self.by_number or [self.by_kind[type(probe.layer).__name__] for probe in probes]


def seconds(dense, fixed=0.0, per_kept=0.0, arriving=0.0, leaving=0.0):
    return LayerCost(dense, fixed, per_kept, arriving, leaving)


def small_net():
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))


EXAMPLE = torch.zeros(5, 2, 4, 4)


def test_always_swaps_whatever_it_costs_and_asks_for_nothing():
    net, costs = small_net(), Costs()
    assert chosen(net, masked(net), "always", None, 128, costs) == [net[0], net[3], net[5]]
    assert costs.asked == []


def test_auto_takes_those_that_win_and_asks_for_every_layer_as_it_is_used():
    net = small_net()
    costs = Costs(Conv2d=seconds(9.0, fixed=1.0), Linear=seconds(1.0, fixed=9.0))
    assert chosen(net, masked(net, 0.1), "auto", EXAMPLE, 64, costs) == [net[0]]
    assert [probe.layer for probe in costs.asked] == [net[0], net[3], net[5]]
    assert {probe.batch for probe in costs.asked} == {64}
    assert [list(probe.call.inputs) for probe in costs.asked] == [[1, 2, 4, 4], [1, 16], [1, 8]]
    assert [probe.call.for_inputs for probe in costs.asked] == [False, True, True]


def test_the_number_of_kept_weights_decides():
    net = nn.Sequential(nn.Linear(20, 50))
    costs = Costs(Linear=seconds(1.0, fixed=0.1, per_kept=0.8 / 500))
    swapped = [bool(chosen(net, masked(net, kept / 10), "auto", None, 128, costs)) for kept in range(11)]
    # about 500 of 1000 is where the margin is reached: 0.1 + 0.8 against 0.9
    assert swapped == sorted(swapped, reverse=True)
    assert swapped[4]
    assert not swapped[6]


def test_weights_without_a_mask_count_as_kept():
    net = nn.LSTM(5, 5)
    layers = {net: {"weight_ih_l0": torch.zeros(20, 5, dtype=torch.bool)}}
    assert chosen(net, layers, "auto", None, 8, Costs(LSTM=seconds(1.0, per_kept=0.9 / 101))) == [net]
    assert chosen(net, layers, "auto", None, 8, Costs(LSTM=seconds(1.0, per_kept=0.9 / 99))) == []


def test_a_layer_used_twice_costs_twice():
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    net.append(net[0])
    two = Costs(seconds(1.0, fixed=5.0), seconds(9.0, fixed=1.0))
    assert chosen(net, masked(net), "auto", None, 8, two) == [net[0]]
    assert chosen(net, masked(net), "auto", None, 8, Costs(seconds(1.0, fixed=5.0), seconds(4.0, fixed=1.0))) == []


def test_a_layer_without_a_mask_or_a_sparse_form_stays_and_is_not_asked_about():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    layers = masked(net, 0.1)
    del layers[net[1]]
    free = Costs(Linear=seconds(1.0, fixed=0.8))
    assert chosen(net, layers, "auto", None, 8, free) == [net[0], net[2]]
    assert [probe.layer for probe in free.asked] == [net[0], net[2]]
    # between dense neighbours each pays for both changes of layout
    paid = Costs(Linear=seconds(1.0, fixed=0.8, arriving=0.06, leaving=0.06))
    assert chosen(net, layers, "auto", None, 8, paid) == []
    assert chosen(net, masked(net, 0.1), "auto", None, 8, paid) == list(net)


def test_what_is_pooled_is_cheaper_to_hand_on():
    cost = seconds(1.0, fixed=0.5, leaving=1.0)
    layers = {"pooled": [nn.Conv2d(1, 2, 3), nn.MaxPool2d(4)], "whole": [nn.Conv2d(1, 2, 3), nn.ReLU()]}
    for name, modules in layers.items():
        net = nn.Sequential(*modules, nn.Flatten(), nn.LazyLinear(3))
        net(torch.zeros(1, 1, 10, 10))
        conv_alone = {net[0]: masked(net, 0.1)[net[0]]}
        assert bool(chosen(net, conv_alone, "auto", torch.zeros(1, 1, 10, 10), 8, Costs(Conv2d=cost))) == (
            name == "pooled"
        )


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused, self.named = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        return self.named(input=self.used(x))


def test_layers_that_are_not_used_or_not_seen_through_stay_dense():
    net = Odd()
    assert chosen(net, masked(net, 0.1), "auto", None, 8, Costs(Linear=seconds(1.0, fixed=0.1))) == [net.used]


def test_auto_without_anything_to_swap_needs_no_example():
    net = nn.Sequential(nn.Conv3d(1, 1, 1))
    assert chosen(net, masked(net), "auto", None, 8, Costs()) == []
    net = small_net()
    with pytest.raises(ArgumentError, match="pass example="):
        chosen(net, masked(net), "auto", None, 8, Costs())


@pytest.mark.parametrize("name", ["lenet-5-caffe", "resnet-8", "lstm-s"])
def test_more_sparsity_never_swaps_less_of_a_model_whose_layers_win(name):
    net = th.models.build(name)
    cost = {
        kind: seconds(1.0, fixed=0.2, per_kept=1e-4, arriving=0.1, leaving=0.1) for kind in ("Conv2d", "Linear", "LSTM")
    }
    counts = [
        len(chosen(net, masked(net, kept), "auto", None, 8, Costs(**cost))) for kept in (1.0, 0.3, 0.1, 0.01, 0.0)
    ]
    assert counts == sorted(counts)
    assert counts[-1] == len(able_layers(net, masked(net)))
