"""Three steps of the whole loop, softmax regression worked out in float64 NumPy."""

import numpy as np
import pytest
import torch
from torch import nn

from thresher.core.errors import ArgumentError
from thresher.training import OPTIMIZERS, TrainingPlan, make_optimizer, train

MU, DECAY, RATE, STEPS = 0.8, 0.05, 0.3, 3


class Updates:
    """The update equations of the papers, one array at a time, in float64."""

    def __init__(self, name):
        self.name, self.t, self.m, self.v = name, 0, {}, {}

    def __call__(self, weights, gradients, rate):
        self.t += 1
        for key, gradient in gradients.items():
            theta = weights[key]
            g = gradient if self.name == "adamw" else gradient + DECAY * theta
            m = self.m.get(key)
            if self.name == "sgd":
                step = rate * g
            elif self.name in ("momentum", "nesterov"):
                self.m[key] = g if m is None else MU * m + g
                step = rate * (g + MU * self.m[key] if self.name == "nesterov" else self.m[key])
            else:
                self.m[key] = 0.9 * (0.0 if m is None else m) + 0.1 * g
                self.v[key] = 0.999 * self.v.get(key, 0.0) + 0.001 * g**2
                m_hat, v_hat = self.m[key] / (1 - 0.9**self.t), self.v[key] / (1 - 0.999**self.t)
                step = rate * m_hat / (np.sqrt(v_hat) + 1e-8)
                if self.name == "adamw":
                    step = step + rate * DECAY * theta
            weights[key] = theta - step


def softmax_gradients(weights, inputs, targets):
    scores = inputs @ weights["weight"].T + weights["bias"]
    p = np.exp(scores - scores.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(len(targets)), targets] -= 1.0
    p /= len(targets)
    return {"weight": p.T @ inputs, "bias": p.sum(0)}


@pytest.mark.parametrize("clip", [None, 0.1])
@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_three_steps_are_the_equations(name, clip, toy):
    data = toy.examples(21, 5)
    data.inputs = data.inputs.double()
    torch.manual_seed(0)
    model = nn.Linear(toy.FEATURES, toy.CLASSES).double()
    weights = {key: value.detach().numpy().copy() for key, value in model.named_parameters()}
    plan = TrainingPlan(
        steps=STEPS,
        learning_rate=RATE,
        optimizer=name,
        momentum=MU,
        weight_decay=DECAY,
        schedule="linear",
        clip_norm=clip,
    )
    train(model, toy.Stream(data), plan, loss=nn.functional.cross_entropy)

    updates, stream = Updates(name), toy.Stream(data)
    for step in range(STEPS):
        inputs, targets = (part.numpy() for part in stream.next_batch())
        gradients = softmax_gradients(weights, inputs, targets)
        if clip is not None:
            norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
            assert norm > clip
            gradients = {key: g * clip / (norm + 1e-6) for key, g in gradients.items()}  # torch's guard
        updates(weights, gradients, RATE * (1 - step / STEPS))
    for key, value in model.named_parameters():
        np.testing.assert_allclose(value.detach().numpy(), weights[key], rtol=1e-12)


def test_frozen_parameters_stay_out_and_all_frozen_is_refused():
    model = nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    plan = TrainingPlan(steps=1, learning_rate=0.1)
    assert [p is model.weight for p in make_optimizer(model, plan).param_groups[0]["params"]] == [True]
    model.weight.requires_grad_(False)
    with pytest.raises(ArgumentError, match="Linear has no trainable parameter"):
        make_optimizer(model, plan)
