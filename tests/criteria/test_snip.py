"""SNIP against central finite differences in c, plain-torch twins, and its own definitions of 'several batches'."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from thresher.core.errors import ArgumentError
from thresher.core.prunable import prunable
from thresher.criteria import SNIP


def loss_of_connections(net, weights, batches):
    """c ↦ L(c ⊙ θ), the mean over all examples of all batches."""

    def value(connections):
        placed = {n: connections[n] * w.detach() for n, w in weights.items()}
        total = sum(len(x) * cross_entropy(functional_call(net, placed, (x,)), y) for x, y in batches)
        return total / sum(len(x) for x, _ in batches)

    return value


def finite_differences(net, weights, batches, step=1e-5):
    """|L(1 + h e_j) - L(1 - h e_j)| / 2h for every connection j."""
    value = loss_of_connections(net, weights, batches)
    connections = {n: torch.ones_like(w) for n, w in weights.items()}
    slopes = {n: torch.zeros_like(w) for n, w in weights.items()}
    with torch.no_grad():
        for name, c in connections.items():
            for j in range(c.numel()):
                sides = []
                for sign in (1, -1):
                    c.view(-1)[j] = 1 + sign * step
                    sides.append(value(connections))
                c.view(-1)[j] = 1.0
                slopes[name].view(-1)[j] = (sides[0] - sides[1]).abs() / (2 * step)
    return slopes


def assert_close(came, expected, rtol, atol):
    assert came.keys() == expected.keys()
    for name in came:
        torch.testing.assert_close(came[name], expected[name], rtol=rtol, atol=atol, msg=lambda m, n=name: f"{n}: {m}")


def test_finite_differences_in_c_of_a_tanh_network(tanh_net, points):
    weights = prunable(tanh_net)
    scores = SNIP(cross_entropy).scores(tanh_net, weights, points)
    assert_close(scores, finite_differences(tanh_net, weights, points), rtol=1e-7, atol=1e-9)


def test_finite_differences_in_c_of_a_convolutional_network_with_batch_norm(conv_net, images):
    weights, batch = prunable(conv_net), images[:1]
    scores = SNIP(cross_entropy).scores(conv_net.train(), weights, batch)
    assert_close(scores, finite_differences(conv_net.eval(), weights, batch), rtol=1e-6, atol=1e-8)


def test_synaptic_flows_definition_on_a_twin_with_masks(conv_net, images):
    # ganguli-lab/Synaptic-Flow: the gradient by mask buffers, summed over batches, absolute, over the sum of all
    weights = prunable(conv_net)
    twin = copy.deepcopy(conv_net).eval()
    masks = {n: torch.ones_like(w, requires_grad=True) for n, w in weights.items()}
    for x, y in images:
        placed = {n: m * weights[n].detach() for n, m in masks.items()}
        (len(x) * cross_entropy(functional_call(twin, placed, (x,)), y)).backward()
    total = sum(m.grad.abs().sum() for m in masks.values())
    scores = SNIP(cross_entropy).scores(conv_net, weights, images)
    ours = sum(s.sum() for s in scores.values())
    assert_close(
        {n: s / ours for n, s in scores.items()}, {n: m.grad.abs() / total for n, m in masks.items()}, 1e-10, 0
    )


def test_uneven_batches_streamed_equal_the_joined_data(conv_net, images, joined):
    weights = prunable(conv_net)
    streamed = SNIP(cross_entropy).scores(conv_net, weights, images)
    assert_close(streamed, SNIP(cross_entropy).scores(conv_net, weights, joined(images)), rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("training", [False, True])
def test_mean_of_abs_is_the_loop_over_batches(conv_net, images, training):
    conv_net.drop.p = 0.0  # in training mode the twin would draw otherwise
    weights = prunable(conv_net)
    expected = {n: torch.zeros_like(w) for n, w in weights.items()}
    for x, y in images:
        twin = copy.deepcopy(conv_net).train(training)
        cross_entropy(twin(x), y).backward()
        for name in expected:
            parameter = twin.get_parameter(name)
            expected[name] += len(x) / 12 * (parameter * parameter.grad).detach().abs()
    scores = SNIP(cross_entropy, "mean-of-abs", training).scores(conv_net, weights, images)
    assert_close(scores, expected, rtol=1e-10, atol=1e-15)
    one = SNIP(cross_entropy, "abs-of-mean", training).scores(conv_net, weights, images)
    assert any(not torch.allclose(one[n], scores[n], rtol=1e-3) for n in scores)  # another criterion, not a synonym
    assert all((scores[n] >= one[n] - 1e-12).all() for n in scores)  # the triangle inequality


def test_training_mode_normalises_by_the_batch(conv_net, images):
    conv_net.drop.p = 0.0
    weights, batch = prunable(conv_net), images[:1]
    twin = copy.deepcopy(conv_net).train()
    cross_entropy(twin(batch[0][0]), batch[0][1]).backward()
    expected = {n: (twin.get_parameter(n) * twin.get_parameter(n).grad).detach().abs() for n in weights}
    assert_close(SNIP(cross_entropy, training=True).scores(conv_net, weights, batch), expected, 1e-10, 1e-15)
    evaluated = SNIP(cross_entropy).scores(conv_net, weights, batch)
    assert not torch.allclose(evaluated["conv1.weight"], expected["conv1.weight"], rtol=1e-2)


def test_dropout_of_the_training_mode_is_drawn_from_the_global_state_and_given_back(conv_net, images):
    torch.manual_seed(4)
    twin, (x, y) = copy.deepcopy(conv_net).train(), images[0]
    torch.manual_seed(8)
    cross_entropy(twin(x), y).backward()
    torch.manual_seed(8)
    chance = torch.get_rng_state()
    scores = SNIP(cross_entropy, training=True).scores(conv_net, prunable(conv_net), images[:1])
    assert torch.equal(torch.get_rng_state(), chance)
    torch.testing.assert_close(scores["fc.weight"], (twin.fc.weight * twin.fc.weight.grad).detach().abs())


@pytest.mark.parametrize("factor", [0.01, 8.0])
def test_a_rescaling_that_keeps_the_function_keeps_the_scores(points, factor):
    # W₁ → aW₁, W₂ → W₂/a: a ReLU network computes the same, and every connection matters as much as before
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8, bias=False), nn.ReLU(), nn.Linear(8, 3)).double()
    before = SNIP(cross_entropy).scores(net, prunable(net), points)
    scaled = {"0.weight": net[0].weight.detach() * factor, "2.weight": net[2].weight.detach() / factor}
    assert_close(SNIP(cross_entropy).scores(net, scaled, points), before, rtol=1e-10, atol=1e-15)
    # the same by rescaling the data and the first layer against it
    shifted = {"0.weight": net[0].weight.detach() / factor, "2.weight": net[2].weight.detach()}
    data = [(x * factor, y) for x, y in points]
    assert_close(SNIP(cross_entropy).scores(net, shifted, data), before, rtol=1e-10, atol=1e-15)


def test_zero_initial_biases_score_zero_and_would_go_first(tanh_net, points):
    for layer in tanh_net[::2]:
        nn.init.zeros_(layer.bias)
    scores = SNIP(cross_entropy).scores(tanh_net, prunable(tanh_net, biases=True), points)
    assert [n for n, s in scores.items() if s.eq(0).all()] == ["0.bias", "2.bias", "4.bias"]


def test_an_unknown_reduction_is_refused():
    with pytest.raises(ArgumentError, match="'abs-of-mean' or 'mean-of-abs': got 'sum'"):
        SNIP(cross_entropy, "sum")
