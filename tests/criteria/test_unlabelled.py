"""Losses without labels against NumPy, and Jacobian norms against torch.func.jacrev, alone and inside criteria."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from thresher.core import Batch, listen, prunable
from thresher.core.errors import ArgumentError, DataError
from thresher.criteria import SNIP, GraSP
from thresher.criteria.unlabelled import (
    UNLABELLED,
    JacobianNorm,
    prediction_raw,
    prediction_softmax,
    uniform,
    without_labels,
)


@pytest.fixture
def outputs():
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def softmax(z):
    return np.exp(z) / np.exp(z).sum(1, keepdims=True)


def test_losses_are_what_they_say(outputs):
    z = outputs.numpy()
    logs = np.log(softmax(z))
    labels = torch.zeros(5, dtype=torch.int64)
    assert float(uniform(outputs, labels)) == pytest.approx(-(logs / 4).sum(1).mean())
    mean = softmax(z).mean(0)
    assert float(prediction_softmax(outputs, labels)) == pytest.approx(-(mean * np.log(mean)).sum(), rel=1e-12)
    assert float(prediction_raw(outputs, labels)) == pytest.approx(-(logs * z.mean(0)).sum(1).mean())


def test_uniform_is_torchs_cross_entropy_to_equal_probabilities(outputs):
    torch.testing.assert_close(uniform(outputs, outputs), cross_entropy(outputs, torch.full((5, 4), 0.25).double()))


def test_the_entropy_of_the_mean_prediction_is_differentiated_whole(outputs):
    p = softmax(outputs.numpy())
    leaf = outputs.clone().requires_grad_()
    (found,) = torch.autograd.grad(prediction_softmax(leaf, leaf), leaf)
    log_mean = np.log(p.mean(0))
    expected = -p * (log_mean - (p * log_mean).sum(1, keepdims=True)) / 5
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_class_that_nobody_predicts_leaves_the_entropy_finite():
    leaf = torch.tensor([[0.0, 1.0, -1e4], [2.0, 0.0, -1e4]], requires_grad=True)
    loss = prediction_softmax(leaf, leaf)
    (gradient,) = torch.autograd.grad(loss, leaf)
    two = torch.autograd.functional.jacobian(lambda o: prediction_softmax(o, o), leaf.detach()[:, :2])
    torch.testing.assert_close(gradient, torch.cat([two, torch.zeros(2, 1)], dim=1))


def test_the_raw_prediction_is_held_constant(outputs):
    z = outputs.numpy()
    leaf = outputs.clone().requires_grad_()
    (found,) = torch.autograd.grad(prediction_raw(leaf, leaf), leaf)
    np.testing.assert_allclose(found, (softmax(z) * z.mean(0).sum() - z.mean(0)) / 5, atol=1e-12)


@pytest.mark.parametrize("name", UNLABELLED)
def test_labels_change_no_score(name, tanh_net, points):
    weights = prunable(tanh_net)
    other = [(x, (y + 1) % 3) for x, y in points]
    here, there = (SNIP(UNLABELLED[name]).scores(tanh_net, weights, data) for data in (points, other))
    assert all(torch.equal(here[n], there[n]) for n in weights)
    assert any(float(score.max()) > 0 for score in here.values())


@pytest.mark.parametrize("order", [1, 2])
def test_norms_are_those_of_each_examples_jacobian_and_so_are_scores(order, tanh_net, points):
    weights = {name: p.detach() for name, p in prunable(tanh_net).items()}

    def mean_norm(parameters):
        def one(x):
            jacobian = torch.func.jacrev(
                lambda z: torch.func.functional_call(tanh_net, parameters, (z.unsqueeze(0),)).squeeze(0)
            )(x)
            return jacobian.abs().sum() if order == 1 else jacobian.square().sum()

        return torch.stack([one(x) for inputs, _ in points for x in inputs]).mean()

    gradients = torch.func.grad(lambda w: mean_norm({**dict(tanh_net.named_parameters()), **w}))(weights)
    found = SNIP(JacobianNorm(order=order)).scores(tanh_net, weights, without_labels(points))
    for name, gradient in gradients.items():
        torch.testing.assert_close(found[name], (weights[name] * gradient).abs())
    ((inputs, leaf),) = without_labels(points[:1])
    expected = torch.func.vmap(torch.func.jacrev(tanh_net))(points[0][0])
    expected = expected.abs() if order == 1 else expected.square()
    torch.testing.assert_close(JacobianNorm(order=order)(tanh_net(inputs), leaf), expected.sum((1, 2)).mean())


def test_many_outputs_are_estimated_without_bias():
    torch.manual_seed(0)
    net = nn.Linear(6, 40).double()
    ((inputs, leaf),) = without_labels([(torch.randn(8, 6, dtype=torch.float64), torch.zeros(8))])
    outputs = net(inputs)
    found = torch.stack([JacobianNorm(seed=seed)(outputs, leaf).detach() for seed in range(300)])
    expected = float(net.weight.detach().square().sum())
    error = float(found.std() / 300**0.5)
    assert float(found.mean()) == pytest.approx(expected, abs=4 * error)
    assert error < 0.02 * expected
    assert torch.equal(JacobianNorm(seed=1)(outputs, leaf), JacobianNorm(seed=1)(outputs, leaf))


def test_second_derivatives_go_through_other_criteria_and_first_layers_in_place():
    torch.manual_seed(0)
    net = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    data = [(torch.randn(8, 4, dtype=torch.float64), torch.zeros(8))]
    for criterion in (SNIP(JacobianNorm()), GraSP(JacobianNorm())):
        scores = criterion.scores(net, prunable(net), without_labels(data))
        assert all(bool(score.isfinite().all()) and float(score.abs().max()) > 0 for score in scores.values())


def test_what_is_read_is_reported_as_before_and_can_be_read_again():
    data = [Batch(torch.randn(3, 4), torch.zeros(3, dtype=torch.int64), "toy/train", torch.tensor([4, 0, 7]))]
    again = without_labels(data)
    net = nn.Linear(4, 2)
    with listen() as touches:
        for _ in range(2):
            SNIP(JacobianNorm()).scores(net, prunable(net), again)
    assert [(touch.dataset, touch.indices.tolist()) for touch in touches] == [("toy/train", [4, 0, 7])] * 2
    assert not data[0][0].requires_grad


def test_labels_in_the_place_of_inputs_are_refused(tanh_net, points):
    with pytest.raises(ArgumentError, match=r"without_labels\(batches\)"):
        SNIP(JacobianNorm()).scores(tanh_net, prunable(tanh_net), points)


def test_orders_outputs_and_inputs_out_of_range_are_refused():
    with pytest.raises(ArgumentError, match="1 or 2: got 3"):
        JacobianNorm(order=3)
    leaf = torch.ones(2, 33, requires_grad=True)
    with pytest.raises(ArgumentError, match="up to 32 outputs: got 33"):
        JacobianNorm(order=1)(leaf * 2, leaf)
    with pytest.raises(ArgumentError, match=r"torch\.int64 have no derivative"):
        list(without_labels([(torch.zeros(2, dtype=torch.int64), torch.zeros(2))]))


def test_what_is_no_batch_is_left_for_the_reader_to_refuse():
    net = nn.Linear(4, 2)
    with pytest.raises(DataError, match="pairs of tensors"):
        SNIP(JacobianNorm()).scores(net, prunable(net), without_labels([torch.ones(2, 4)]))
