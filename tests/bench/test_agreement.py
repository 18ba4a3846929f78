import pytest
import torch
from torch import nn

from thresher.bench.agreement import Expected, answers, require_agreement
from thresher.bench.contender import Unable


class Scaled(torch.autograd.Function):
    """x → output · x, with gradient · g."""

    @staticmethod
    def forward(ctx, x, output, gradient):
        ctx.gradient = gradient
        return x * output

    @staticmethod
    def backward(ctx, g):
        return g * ctx.gradient, None, None


class Wrong(nn.Linear):
    """A linear layer whose output, gradient of the inputs and gradient of the weights are off by the given factors."""

    def __init__(self, right, output=1.0, to_inputs=1.0, to_weights=1.0):
        super().__init__(right.in_features, right.out_features)
        self.load_state_dict(right.state_dict())
        self.factors = output, to_inputs, to_weights

    def forward(self, x):
        output, to_inputs, to_weights = self.factors
        x = Scaled.apply(x, 1.0, to_inputs)
        weight = Scaled.apply(self.weight, 1.0, to_weights)
        return Scaled.apply(nn.functional.linear(x, weight, self.bias), output, 1.0)


@pytest.fixture
def right():
    torch.manual_seed(0)
    return nn.Linear(20, 30)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("factor", [1.0, 1.00001])
def test_what_is_right_to_rounding_agrees(right, train, factor):
    inputs = torch.randn(8, 20)
    require_agreement(answers(Wrong(right, factor), inputs, train), Expected.of(right, inputs, train))


@pytest.mark.parametrize(
    ("wrong", "train", "message"),
    [
        ({"output": 1.001}, True, "wrong output"),
        ({"output": 1.001}, False, "wrong output"),
        ({"output": float("nan")}, False, "wrong output"),
        ({"to_inputs": 0.9}, True, "wrong gradient of the inputs"),
        ({"to_inputs": float("nan")}, True, "wrong gradient of the inputs"),
        ({"to_weights": 0.0}, True, "wrong gradient of the weights"),
        ({"to_weights": float("inf")}, True, "wrong gradient of the weights"),
    ],
)
def test_what_is_wrong_is_named(right, wrong, train, message):
    inputs = torch.randn(8, 20)
    with pytest.raises(Unable, match=message):
        require_agreement(answers(Wrong(right, **wrong), inputs, train), Expected.of(right, inputs, train))


def test_float32_is_held_against_float64(right):
    inputs = torch.randn(8, 20)
    expected = Expected.of(right, inputs, True)
    assert expected.right.output.dtype is torch.float64
    assert expected.gradient == 1e-2
    require_agreement(answers(right, inputs, True), expected)
    with pytest.raises(Unable, match="wrong output"):
        require_agreement(answers(Wrong(right, 1.001), inputs, True), expected)


def test_gradients_may_be_off_by_as_much_as_dense_float32_itself():
    """1 + 1e-9 is above one in float64 and one in float32: half of the units are on in one and off in the other."""

    class Threshold(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = 1 + 1e-9

        def forward(self, x):
            return torch.relu(x * self.one - 1)

    inputs = torch.tensor([[1.0, 3.0], [1.0, 2.0]])
    expected = Expected.of(Threshold(), inputs, True)
    exact = torch.arange(4.0).cos().view(2, 2)
    lost = exact[:, 0].norm() / exact.norm()  # float32 has no gradient at the two ones
    assert expected.gradient == pytest.approx(4 * float(lost), rel=1e-5)


def test_another_shape_is_no_agreement(right):
    inputs = torch.randn(8, 20)
    with pytest.raises(Unable, match="wrong output: relative error inf"):
        require_agreement(answers(right, inputs[:1], False), Expected.of(right, inputs, False))


def test_gradients_are_those_of_a_fixed_sum_whatever_the_layout_of_the_weights(right):
    """∂/∂W of Σ y·cos(k) in closed form, and the sums over W∂W + b∂b."""
    inputs = torch.randn(8, 20)
    came = answers(right, inputs, True)
    towards = torch.arange(240.0).cos().view(8, 30)
    torch.testing.assert_close(came.to_inputs, towards @ right.weight.detach())
    products = [right.weight.detach() * (towards.t() @ inputs), right.bias.detach() * towards.sum(0)]
    assert came.to_weights[0] == pytest.approx(float(sum(p.sum() for p in products)), rel=1e-4)
    assert came.to_weights[1] == pytest.approx(float(sum(p.abs().sum() for p in products)), rel=1e-4)
    assert not inputs.requires_grad
