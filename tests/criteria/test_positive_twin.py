"""What the all-positive twin replaces, layer by layer, and networks that would be dead without it."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from thresher.core.prunable import prunable
from thresher.criteria import SynFlow
from thresher.criteria.positive_twin import PositiveTwin

X = torch.rand(2, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 9
SCALE = torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64)
SHIFT = torch.tensor([0.0, 1.0, 0.25, 4.0], dtype=torch.float64)


def normed(layer, **state):
    """`layer` in evaluation mode, with scales and shifts that show."""
    layer = layer.double().eval()
    with torch.no_grad():
        for name, value in {"weight": SCALE, "bias": SHIFT, **state}.items():
            getattr(layer, name).copy_(value)
    return layer


SCALED = X * SCALE[:, None] + SHIFT[:, None]
ROOT = (torch.tensor([1.0, 4.0, 9.0, 16.0], dtype=torch.float64) + 1e-5).sqrt()
STATISTICS = {"running_mean": SHIFT + 7, "running_var": torch.tensor([1.0, 4.0, 9.0, 16.0], dtype=torch.float64)}
NORMS = {
    "batch norm": (normed(nn.BatchNorm1d(4), **STATISTICS), X / ROOT[:, None] * SCALE[:, None] + SHIFT[:, None]),
    "batch norm without statistics": (normed(nn.BatchNorm1d(4, track_running_stats=False)), SCALED),
    "group norm": (normed(nn.GroupNorm(2, 4)), SCALED),
    "instance norm": (normed(nn.InstanceNorm1d(4, affine=True)), SCALED),
    "bare batch norm": (nn.BatchNorm1d(4, affine=False, track_running_stats=False).eval(), X),
    "bare group norm": (nn.GroupNorm(2, 4, affine=False), X),
}  # fmt: skip


@pytest.mark.parametrize(("layer", "expected"), NORMS.values(), ids=NORMS)
def test_norms_keep_scale_and_shift_only(layer, expected):
    with PositiveTwin():
        torch.testing.assert_close(layer(X), expected, rtol=1e-14, atol=0.0)
    assert not torch.allclose(layer(X), expected)


def test_norms_over_the_last_dimension_keep_scale_and_shift_only():
    x = X.movedim(1, -1)
    with PositiveTwin():
        torch.testing.assert_close(normed(nn.LayerNorm(4))(x), x * SCALE + SHIFT, rtol=1e-14, atol=0.0)
        rms = nn.RMSNorm(4).double()
        rms.weight.data.copy_(SCALE)
        torch.testing.assert_close(rms(x), x * SCALE, rtol=1e-14, atol=0.0)
        assert torch.equal(nn.LayerNorm(4, elementwise_affine=False)(x), x)
        assert torch.equal(nn.RMSNorm(4, elementwise_affine=False)(x), x)


SATURATING = [
    nn.Tanh(), nn.Sigmoid(), nn.Hardsigmoid(), nn.Hardtanh(), nn.Hardtanh(inplace=True), nn.ReLU6(),
    nn.LogSoftmax(1), torch.tanh, torch.sigmoid, F.tanh, F.sigmoid, torch.Tensor.tanh_, torch.Tensor.sigmoid_,
    torch.tanh_, torch.sigmoid_, lambda x: x.log_softmax(-1), lambda x: torch.log_softmax(x, -1),
]  # fmt: skip


@pytest.mark.parametrize("function", SATURATING)
def test_saturating_functions_are_the_identity_inside_and_themselves_outside(function):
    with PositiveTwin():
        assert torch.equal(function(X.clone()), X)
    assert not torch.allclose(function(X.clone()), X)


@pytest.mark.parametrize("activation", [nn.Tanh, nn.Sigmoid, nn.Hardtanh, nn.ReLU6, nn.Hardsigmoid, nn.Identity])
def test_a_network_of_any_of_them_flows_as_the_relu_network(activation):
    def net(kind):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(40, 50), kind(), nn.Linear(50, 30), kind(), nn.Linear(30, 3), nn.LogSoftmax(1))

    bounded, relu = (SynFlow().scores(n, prunable(n)) for n in (net(activation), net(nn.ReLU)))
    assert all(torch.equal(bounded[name], relu[name]) for name in relu)
    assert all((score > 0).all() for score in relu.values())


def test_layer_norm_would_cancel_an_all_ones_input_and_does_not():
    torch.manual_seed(0)
    net = nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 5, bias=False), nn.LayerNorm(5), nn.Linear(5, 2, bias=False))
    bare = nn.Sequential(net[1], net[3])
    example = torch.ones(1, 6)
    scores, expected = (SynFlow().scores(n, prunable(n), example=example) for n in (net, bare))
    for came, flow in zip(scores.values(), expected.values(), strict=True):
        torch.testing.assert_close(came, flow, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("layer", [nn.LSTM, nn.RNN])
def test_every_recurrent_weight_gets_flow(layer, batch_first):
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.cells = layer(28, 40, batch_first=batch_first)
            self.fc = nn.Linear(40, 10)

        def forward(self, x):
            steps, _ = self.cells(x)
            return self.fc(steps[:, -1] if batch_first else steps[-1])

    torch.manual_seed(0)
    net = Recurrent()
    scores = SynFlow().scores(net, prunable(net))
    assert list(scores) == ["cells.weight_ih_l0", "cells.weight_hh_l0", "fc.weight"]
    assert all((score > 0).all() for score in scores.values())
