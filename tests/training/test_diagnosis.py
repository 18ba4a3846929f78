"""A loss that is not finite is traced to where it was first seen."""

import math

import pytest
import torch
from torch import nn

from thresher.core.errors import NonFiniteError
from thresher.training.diagnosis import bad_parameter, nonfinite_loss

cross_entropy = nn.functional.cross_entropy


class Log(nn.Module):
    def forward(self, inputs):
        return inputs.log()


class Functional(nn.Module):
    """Takes a logarithm between two layers, in no module's name."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, inputs):
        return self.fc2((self.fc1(inputs) * 0).log())


def said(model, inputs=None, training=True):
    inputs = torch.ones(3, 2) if inputs is None else inputs
    return str(nonfinite_loss(model, inputs, "the loss is nan", training))


def test_the_innermost_first_layer_is_named():
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Threshold(9.0, 0.0)), Log(), nn.Linear(2, 2))
    assert "first seen in the output of 1 (Log) when the batch was run again" in said(model)
    assert "first seen in the input of fc2 (Linear)" in said(Functional())


def test_what_is_already_bad_is_found_before_anything_is_run():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    assert "inputs of this batch already hold 2 values" in said(model, torch.tensor([[math.nan, math.inf]]))
    model[1].running_var[0] = math.inf
    assert "1.running_var is already not finite" in said(model)
    with torch.no_grad():
        model[0].bias[1] = math.nan
    assert "0.bias is already not finite" in said(model)


def test_a_loss_that_overflows_by_itself():
    assert "every layer's output is finite" in said(nn.Linear(2, 2))


def test_the_rerun_is_in_the_given_mode_and_leaves_no_trace(same):
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5), Log())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    # in training mode the norm of equal inputs is 0, in evaluation mode it is not
    assert "output of 2 (Log)" in said(model, torch.ones(4, 2))
    assert "every layer's output is finite" in said(model, torch.ones(4, 2), training=False)
    assert same(dict(model.state_dict()), before)
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(module._forward_hooks for module in model.modules())


def test_bad_parameters_with_and_without_a_bad_gradient():
    model = nn.Linear(2, 2)
    assert bad_parameter(model) is None
    with torch.no_grad():
        model.weight[0, 0] = math.inf
    assert "weight is not finite after an update of a finite loss: the update overflowed" in str(bad_parameter(model))
    model.weight.grad = torch.full((2, 2), math.nan)
    assert "its gradient is not" in str(bad_parameter(model))


def test_training_stops_before_a_bad_loss_reaches_the_weights(toy):
    model, calls = toy.net(), []

    def loss(outputs, targets):
        calls.append(cross_entropy(outputs, targets))
        return calls[-1] * (math.nan if len(calls) == 5 else 1.0)

    with pytest.raises(NonFiniteError) as caught:
        toy.run(None, model=model, loss=loss, plan=toy.plan(schedule="constant", warmup_steps=0))
    expected = f"the loss is nan at step 5 (learning rate 0.1, last finite loss {calls[3].item():.6g})"
    assert str(caught.value).startswith(expected)
    assert "lower the learning rate, clip the gradient" in str(caught.value)
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())


def test_the_first_loss_of_all_may_be_bad(toy):
    data = toy.examples(40, 0)
    data.inputs[:] = math.inf
    with pytest.raises(NonFiniteError, match=r"at step 1 .*last finite loss none\); the inputs of this batch"):
        toy.run(None, stream=toy.Stream(data))


class BadGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * math.inf


@pytest.mark.parametrize("step", [7, 9])
def test_a_finite_loss_with_a_bad_gradient_is_caught_and_not_saved(step, toy, tmp_path):
    calls = []

    def loss(outputs, targets):
        calls.append(None)
        value = cross_entropy(outputs, targets)
        return BadGradient.apply(value) if len(calls) == step else value

    # at 7 the next loss tells, at 9 the evaluation is due and no next loss is waited for
    message = r"already not finite: the losses before were" if step == 7 else "of a finite loss: its gradient is not"
    with pytest.raises(NonFiniteError, match=message):
        toy.run(tmp_path, loss=loss)
    saved = toy.final_state(tmp_path)
    assert saved["progress"]["step"] == 6
    assert all(bool(value.isfinite().all()) for value in saved["model"].values())


def test_real_divergence_is_stopped_with_the_rate(toy):
    with pytest.raises(NonFiniteError, match=r"learning rate 1e\+30, last finite loss"):
        toy.run(None, plan=toy.plan(learning_rate=1e30, schedule="constant", warmup_steps=0))
