"""Evaluation against float64 NumPy; it leaves no trace in the model or the random state."""

import numpy as np
import pytest
import torch
from torch import nn

from thresher.core import listen
from thresher.core.errors import ArgumentError, DataError, NonFiniteError
from thresher.training import evaluate

cross_entropy = nn.functional.cross_entropy


def test_means_are_over_examples_not_batches(toy):
    data = toy.examples(23, 4)  # batches of 7, 7, 7, 2
    model = toy.net().double()
    data.inputs = data.inputs.double()
    w1, b1, gamma, beta, w2, b2 = (p.detach().numpy() for p in model.parameters())
    norm = model[1]
    norm.running_mean.normal_(generator=torch.Generator().manual_seed(0))
    hidden = data.inputs.numpy() @ w1.T + b1
    hidden = (hidden - norm.running_mean.numpy()) / np.sqrt(norm.running_var.numpy() + norm.eps) * gamma + beta
    scores = np.maximum(hidden, 0) @ w2.T + b2
    targets = data.targets.numpy()
    losses = np.log(np.exp(scores).sum(1)) - scores[np.arange(23), targets]

    result = evaluate(model, data, cross_entropy, "test")
    assert result.loss == pytest.approx(losses.mean(), rel=1e-12)
    assert result.error_pct == pytest.approx(100 * (scores.argmax(1) != targets).mean(), rel=1e-15)
    assert result.examples == 23


def test_nothing_is_left_behind(toy, same):
    model = toy.net().train()
    model[3].eval()
    modes = [module.training for module in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    evaluate(model, toy.examples(20, 4), cross_entropy, "test")
    assert [module.training for module in model.modules()] == modes
    assert same(dict(model.state_dict()), before)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_every_example_is_touched_once_for_the_purpose(toy):
    with listen() as touches:
        evaluate(toy.net(), toy.examples(20, 4), cross_entropy, "validation")
    assert {(touch.dataset, touch.purpose) for touch in touches} == {("toy/4", "validation")}
    assert torch.cat([touch.indices for touch in touches]).tolist() == list(range(20))


def test_a_model_with_several_outputs_is_judged_by_the_first(toy):
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = toy.net()

        def forward(self, inputs):
            return self.net(inputs), inputs

    data = toy.examples(20, 4)
    assert evaluate(Pair(), data, cross_entropy, "test") == evaluate(toy.net(), data, cross_entropy, "test")


def test_refusals(toy):
    model, data = toy.net(), toy.examples(20, 4)
    with pytest.raises(DataError, match="test got data without a single batch"):
        evaluate(model, [], cross_entropy, "test")
    with pytest.raises(ArgumentError, match=r"loss returned shape \(7,\); expected one number"):
        evaluate(model, data, lambda o, t: cross_entropy(o, t, reduction="none"), "test")
    with pytest.raises(ArgumentError, match="loss returned float"):
        evaluate(model, data, lambda o, t: 1.0, "test")
    data.inputs[19, 0] = float("nan")
    with pytest.raises(NonFiniteError, match=r"the test loss is nan; the inputs of this batch already hold 1 value"):
        evaluate(model, data, cross_entropy, "test")
