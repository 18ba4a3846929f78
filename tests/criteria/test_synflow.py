"""SynFlow against Eq. 7 of the research notes in float64 NumPy, a dense expansion, and the published recipe."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from thresher.core.errors import NonFiniteError
from thresher.core.prunable import prunable
from thresher.criteria import SynFlow


def chain(widths, activation=nn.ReLU):
    layers = [m for a, b in pairwise(widths) for m in (nn.Linear(a, b, bias=False), activation())]
    return nn.Sequential(*layers[:-1])


def equation_7(matrices):
    """[1ᵀ ∏_{k>l} |θ_k|]_i |θ_ij| [∏_{k<l} |θ_k| 1]_j for every layer l of a chain."""
    matrices = [np.abs(m) for m in matrices]
    scores = []
    for layer, matrix in enumerate(matrices):
        before = np.ones(matrices[0].shape[1])
        for m in matrices[:layer]:
            before = m @ before
        after = np.ones(matrices[-1].shape[0])
        for m in reversed(matrices[layer + 1 :]):
            after = after @ m
        scores.append(after[:, None] * matrix * before[None, :])
    return scores


@given(widths=st.lists(st.integers(1, 6), min_size=2, max_size=5), seed=st.integers(0, 99))
def test_equation_7_on_bias_free_chains_and_equal_layer_sums(widths, seed):
    net = chain(widths)
    draw = np.random.default_rng(seed)
    matrices = [draw.normal(size=(b, a)) * draw.integers(0, 2, (b, a)) for a, b in pairwise(widths)]
    weights = {name: torch.from_numpy(m) for name, m in zip(prunable(net), matrices, strict=True)}
    scores = SynFlow().scores(net, weights)
    for came, expected in zip(scores.values(), equation_7(matrices), strict=True):
        np.testing.assert_allclose(came.numpy(), expected, rtol=1e-12)
    flow = np.linalg.multi_dot([np.ones((1, widths[-1])), *map(np.abs, matrices[::-1]), np.ones((widths[0], 1))])
    np.testing.assert_allclose([float(s.sum()) for s in scores.values()], flow.item(), rtol=1e-12)


def test_every_hidden_unit_passes_on_what_it_gets():
    # notes, theorem 1: incoming and outgoing scores of a hidden unit have the same sum
    torch.manual_seed(0)
    first, second, third = SynFlow().scores(net := chain([5, 7, 6, 2]), prunable(net)).values()
    torch.testing.assert_close(first.sum(1), second.sum(0), rtol=1e-12, atol=0.0)
    torch.testing.assert_close(second.sum(1), third.sum(0), rtol=1e-12, atol=0.0)


def expanded(weight, side, stride):
    """The matrix of a padded 3x3 convolution, and which kernel entry each of its entries is (-1: none)."""
    outs, ins = weight.shape[:2]
    new = (side - 1) // stride + 1
    matrix = np.zeros((outs, new, new, ins, side, side))
    entry = np.full(matrix.shape, -1)
    number = np.arange(weight.size).reshape(weight.shape)
    for o, y, x, i, ky, kx in np.ndindex(outs, new, new, ins, 3, 3):
        row, column = y * stride + ky - 1, x * stride + kx - 1
        if 0 <= row < side and 0 <= column < side:
            matrix[o, y, x, i, row, column] = weight[o, i, ky, kx]
            entry[o, y, x, i, row, column] = number[o, i, ky, kx]
    rows = outs * new * new
    return matrix.reshape(rows, -1), entry.reshape(rows, -1)


def test_a_convolutional_network_expanded_into_dense_matrices():
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1, bias=False), nn.ReLU(),
        nn.Conv2d(3, 2, 3, padding=1, stride=2, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(18, 4, bias=False),
    )  # fmt: skip
    scores = SynFlow().scores(net, prunable(net), example=torch.zeros(8, 2, 5, 5))
    first, first_entry = expanded(net[0].weight.detach().double().numpy(), 5, 1)
    second, second_entry = expanded(net[2].weight.detach().double().numpy(), 5, 2)
    flows = equation_7([first, second, net[5].weight.detach().double().numpy()])
    for name, flow, entry in zip(["0.weight", "2.weight"], flows, [first_entry, second_entry], strict=False):
        summed = np.bincount(entry[entry >= 0], flow[entry >= 0], scores[name].numel())  # shared by many positions
        np.testing.assert_allclose(scores[name].reshape(-1).numpy(), summed, rtol=1e-12)
    np.testing.assert_allclose(scores["5.weight"].numpy(), flows[2], rtol=1e-12)


def published(model, example):
    """Synaptic-Flow's recipe: the whole state dict made positive, evaluation mode, ones in, R = sum of outputs."""
    twin = copy.deepcopy(model).double().eval()
    for tensor in twin.state_dict().values():
        tensor.abs_()
    twin(torch.ones_like(example[:1], dtype=torch.float64)).sum().backward()
    return {n: (twin.get_parameter(n) * twin.get_parameter(n).grad).detach().abs() for n in prunable(model)}


def residual_net():
    torch.manual_seed(2)

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
            self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
            self.fc = nn.Linear(16, 5)

        def forward(self, x):
            x = torch.relu(self.bn1(self.conv1(x)))
            x = torch.relu(x + self.bn2(self.conv2(x)))
            return self.fc(nn.functional.max_pool2d(x, 4).flatten(1))

    return Residual()


@pytest.mark.parametrize("training", [True, False])
def test_at_initialisation_it_is_the_published_code(training):
    net, example = residual_net().train(training), torch.randn(2, 3, 8, 8)
    scores = SynFlow().scores(net, prunable(net), example=example)
    for name, expected in published(net, example).items():
        assert scores[name].dtype is torch.float64
        torch.testing.assert_close(scores[name], expected, rtol=1e-12, atol=0.0)


def test_trained_statistics_do_not_dam_the_flow():
    net, example = residual_net(), torch.zeros(1, 3, 8, 8)
    with torch.no_grad():
        for bn in (net.bn1, net.bn2):
            bn.running_mean.fill_(50.0)
            bn.running_var.uniform_(0.5, 2.0)
    # the published recipe subtracts 50 from everything: ReLU closes, nothing arrives
    assert all(score.eq(0).all() for name, score in published(net, example).items() if name.startswith("conv"))
    scores = SynFlow().scores(net, prunable(net), example=example)
    assert all((score > 0).all() for score in scores.values())
    centred = copy.deepcopy(net)
    for bn in (centred.bn1, centred.bn2):
        bn.running_mean.zero_()
    for name, expected in published(centred, example).items():
        torch.testing.assert_close(scores[name], expected, rtol=1e-12, atol=0.0)


def test_only_the_shape_of_the_example_counts():
    net = residual_net()
    ones, drawn = (
        SynFlow().scores(net, prunable(net), example=e) for e in (torch.ones(1, 3, 8, 8), torch.randn(4, 3, 8, 8))
    )
    assert all(torch.equal(ones[n], drawn[n]) for n in ones)


def test_float32_overflows_with_the_name_and_float64_does_not():
    net = chain([10] * 20)
    weights = {name: torch.full((10, 10), -20.0) for name in prunable(net)}  # R = 10 · 200^19 = 5e44
    for dtype in (torch.float32, None):
        with pytest.raises(NonFiniteError, match=r"overflows torch\.float32 at 0\.weight.*float64"):
            SynFlow(dtype=dtype).scores(net, weights)
    scores = SynFlow().scores(net, weights)
    assert all(s.sum().item() == pytest.approx(10 * 200.0**19, rel=1e-12) for s in scores.values())


def test_the_models_own_precision_can_be_kept():
    net = chain([4, 3, 2])
    assert SynFlow(dtype=None).scores(net, prunable(net))["0.weight"].dtype is torch.float32
