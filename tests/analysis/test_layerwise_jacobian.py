"""D^l (C^l ⊙ W^l) written out in NumPy; nothing of a skip connection; the product is the whole Jacobian."""

import numpy as np
import pytest
import torch
from torch import nn

from thresher.analysis import singular_values as pooling
from thresher.analysis.jacobian import jacobian_singular_values
from thresher.analysis.layerwise_jacobian import layerwise_jacobian
from thresher.core import Mask, prunable
from thresher.core.errors import ArgumentError, NonFiniteError
from thresher.layers import densify, sparsify
from thresher.models import build


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.ReLU(inplace=True), nn.Linear(5, 3))


@pytest.fixture
def data():
    draw = torch.Generator().manual_seed(1)
    return [(torch.randn(n, 4, generator=draw), torch.zeros(n)) for n in (3, 2)]


def random_mask(model):
    draw = torch.Generator().manual_seed(3)
    return Mask({n: torch.rand(p.shape, generator=draw) < 0.6 for n, p in prunable(model).items()})


def test_each_layer_is_its_masked_matrix_times_the_slopes_of_its_activation(net, data):
    mask = random_mask(net)
    found = layerwise_jacobian(net, data, mask=mask)
    weight = {k: net[k].weight.detach().double().numpy() * mask[f"{k}.weight"].numpy() for k in (0, 2, 4)}
    bias = {k: net[k].bias.detach().double().numpy() for k in (0, 2, 4)}
    expected = {"0": [], "2": [], "4": []}
    for x in torch.cat([inputs for inputs, _ in data]).double().numpy():
        h1 = weight[0] @ x + bias[0]
        expected["0"].append((1 - np.tanh(h1) ** 2)[:, None] * weight[0])
        h2 = weight[2] @ np.tanh(h1) + bias[2]
        expected["2"].append((h2 > 0)[:, None] * weight[2])
        expected["4"].append(weight[4])
    assert list(found) == ["0", "2", "4"]
    for name, matrices in expected.items():
        values = np.linalg.svd(np.stack(matrices), compute_uv=False).ravel()
        np.testing.assert_allclose(np.sort(found[name].values), np.sort(values), atol=1e-12)
        assert found[name].examples == 5


class Residual(nn.Module):
    """x + f(x), and a shortcut with weights that runs beside the second layer."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        self.shortcut, self.last = nn.Linear(4, 4, bias=False), nn.Linear(4, 2, bias=False)

    def forward(self, x):
        return self.last(self.second(self.first(x) + x) + self.shortcut(x))


def test_a_skip_connection_is_not_in_a_layer_and_of_two_side_by_side_the_first_is_left_out(data):
    torch.manual_seed(0)
    model = Residual()
    found = layerwise_jacobian(model, data)
    # second runs before shortcut, which does not read what it returns
    assert list(found) == ["first", "shortcut", "last"]
    for name in ("first", "last"):
        expected = torch.linalg.svdvals(getattr(model, name).weight.detach().double())
        torch.testing.assert_close(found[name].values[: len(expected)], expected)


def test_in_our_resnets_the_convolution_beside_a_shortcut_with_weights_is_left_out():
    torch.manual_seed(0)
    model = build("wrn-10-1")
    found = layerwise_jacobian(model, [(torch.randn(1, 3, 8, 8), torch.zeros(1))])
    names = {name.removesuffix(".weight") for name in prunable(model)}
    # the shortcut of the first block is the identity
    assert names - found.keys() == {"stage2.0.conv2", "stage3.0.conv2"}
    assert {"stage2.0.shortcut", "stage3.0.shortcut"} < found.keys()


def test_a_sparse_layer_is_to_be_densified_even_beside_dense_ones(net, data):
    mask = random_mask(net)
    part = Mask({"2.weight": mask["2.weight"]})
    half = sparsify(net, part, "always")
    for model, names in ((sparsify(net, mask, "always"), "0, 2, 4"), (half, "2")):
        with pytest.raises(ArgumentError, match=rf"dense model, and {names} store kept weights only: pass th\.densify"):
            layerwise_jacobian(model, data)
    found, expected = layerwise_jacobian(densify(half), data), layerwise_jacobian(net, data, mask=part)
    for name in expected:
        torch.testing.assert_close(found[name].values, expected[name].values)


def test_inputs_that_are_not_finite_and_statistics_of_the_batch_are_refused(net):
    inputs = torch.zeros(3, 4)
    inputs[1, 2] = float("nan")
    with pytest.raises(NonFiniteError, match="1 of 12 inputs of a batch are NaN or infinite"):
        layerwise_jacobian(net, [(inputs, torch.zeros(3))])
    with pytest.raises(ArgumentError, match=r"\(5: batch normalization without running statistics\)"):
        layerwise_jacobian(
            nn.Sequential(*net, nn.BatchNorm1d(3, track_running_stats=False)), [(torch.ones(1, 4), torch.zeros(1))]
        )


def test_a_layer_that_runs_twice_is_left_out(data):
    torch.manual_seed(0)
    shared = nn.Linear(4, 4)
    found = layerwise_jacobian(nn.Sequential(shared, nn.Tanh(), shared, nn.Linear(4, 2)), data)
    assert list(found) == ["3"]


def test_a_single_layer_is_the_whole_network(data):
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
    found = layerwise_jacobian(model, data)["0"]
    torch.testing.assert_close(found.values, jacobian_singular_values(model, data).values)


def test_layers_too_large_to_write_out_are_estimated_and_a_batch_is_taken_in_parts(net, data, monkeypatch):
    exact = layerwise_jacobian(net, data)
    monkeypatch.setattr(pooling, "_BYTES", 8 * 30 * 2)
    in_parts = layerwise_jacobian(net, data)
    monkeypatch.setattr(pooling, "_ROWS", 4)
    estimated = layerwise_jacobian(net, data)
    assert not estimated["0"].exact
    assert estimated["4"].exact
    for name, found in exact.items():
        torch.testing.assert_close(in_parts[name].values, found.values)
    torch.testing.assert_close(estimated["0"].values.sort().values, exact["0"].values.sort().values)


def test_nothing_stays_behind(net, data):
    before = {name: value.clone() for name, value in net.state_dict().items()}
    layerwise_jacobian(net.train(), data)
    assert not any(module._forward_pre_hooks for module in net.modules())
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
