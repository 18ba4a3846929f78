import copy

import pytest
import torch
from torch import nn

from thresher.core.untouched import call_with, first_tensor, untouched


class Counting(nn.Module):
    """Replaces one buffer and adds to another in every forward pass, and gates its output by the second."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("replaced", torch.zeros(()))
        self.register_buffer("added_to", torch.zeros(()), persistent=False)

    def forward(self, x):
        self.replaced = self.replaced + 1
        self.added_to.add_(1)
        return self.layer(x) * self.added_to


def snapshot(model):
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: (id(t), t._version, t.detach().clone(), t.grad) for name, t in tensors.items()}


def same(before, after):
    return before.keys() == after.keys() and all(
        a[0] == b[0] and a[1] == b[1] and torch.equal(a[2], b[2]) and a[3] is b[3]
        for a, b in zip(before.values(), after.values(), strict=True)
    )


@pytest.mark.parametrize("training", [False, True])
def test_every_modules_own_mode_comes_back(training):
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2)))
    net[1][1].eval()
    before = [module.training for module in net.modules()]
    assert len(set(before)) == 2
    with untouched(net, training):
        assert {module.training for module in net.modules()} == {training}
    assert [module.training for module in net.modules()] == before


def test_mode_and_random_state_come_back_after_an_error():
    net = nn.Dropout().train()
    state = torch.get_rng_state()

    def fail():
        with untouched(net, training=False):
            torch.rand(3)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert net.training
    assert torch.equal(torch.get_rng_state(), state)


def test_dropout_inside_draws_but_leaves_the_random_state():
    net = nn.Dropout()
    state = torch.get_rng_state()
    with untouched(net, training=True):
        dropped = call_with(net, {}, torch.ones(1000))
    assert 300 < int((dropped == 0).sum()) < 700
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("model", [nn.Linear(2, 2), nn.LSTM(2, 2)], ids=["plain", "recurrent"])
def test_the_users_cudnn_settings_hold_inside_and_after(model):
    flags = torch.backends.cudnn
    with flags.flags(enabled=True, benchmark=True, deterministic=True, allow_tf32=True):
        with untouched(model, training=False):
            assert flags.enabled is not isinstance(model, nn.RNNBase)
            if flags.enabled:
                assert (flags.benchmark, flags.deterministic) == (True, True)
        assert (flags.enabled, flags.benchmark, flags.deterministic) == (True, True, True)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "norm", [nn.BatchNorm1d(3), nn.BatchNorm1d(3, momentum=None), nn.BatchNorm1d(3, track_running_stats=False)]
)
def test_batch_statistics_act_as_the_mode_says_and_are_forgotten(norm, training):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 3), norm, nn.ReLU())
    inputs = torch.randn(8, 2)
    net(inputs)
    twin = copy.deepcopy(net).train(training)
    before = snapshot(net)
    with untouched(net, training):
        output = call_with(net, dict(net.named_parameters()), inputs)
        again = call_with(net, {}, inputs)
    expected = twin(inputs)
    assert torch.equal(output, expected)
    assert torch.equal(again, expected)
    assert same(before, snapshot(net))


def test_buffers_of_any_kind_are_forgotten_and_given_ones_are_used():
    net = Counting()
    before = snapshot(net)
    inputs = torch.ones(1, 2)
    first, second = call_with(net, {}, inputs), call_with(net, {}, inputs)
    assert torch.equal(first, second)
    given = torch.tensor(2.0)
    assert torch.allclose(call_with(net, {}, inputs, {"added_to": given}), 3 * first)
    assert same(before, snapshot(net))


def test_the_given_parameters_are_used_and_differentiated_by_and_no_other():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    inputs = torch.randn(5, 3, dtype=torch.float64)
    weight = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    before = snapshot(net)
    output = call_with(net, {"0.weight": weight}, inputs)
    w2, b2 = (p.detach() for p in net[2].parameters())
    hidden = torch.tanh(inputs @ weight.T + net[0].bias.detach())
    assert torch.allclose(output, hidden @ w2.T + b2, rtol=0, atol=1e-14)
    (gradient,) = torch.autograd.grad(output.sum(), weight)
    by_hand = (w2.sum(0) * (1 - hidden**2)).T @ inputs
    assert torch.allclose(gradient, by_hand, rtol=0, atol=1e-13)
    assert same(before, snapshot(net))


def test_a_tied_parameter_is_replaced_wherever_it_is_used():
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    inputs, weight = torch.randn(3, 2), torch.randn(2, 2)
    output = call_with(net, {"0.weight": weight}, inputs)
    assert torch.allclose(output, inputs @ weight.T @ weight.T)
    assert net[1].weight is net[0].weight


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_a_recurrent_layer_runs_on_the_given_weights(kind):
    torch.manual_seed(0)
    net, other = kind(3, 2), kind(3, 2)
    inputs = torch.randn(4, 5, 3)
    before = snapshot(net)
    weights = {name: p.detach().clone().requires_grad_() for name, p in other.named_parameters()}
    with untouched(net, training=False):
        output = call_with(net, weights, inputs)
        gradients = torch.autograd.grad(output.square().sum(), list(weights.values()))
    expected = other(inputs)[0]
    expected.square().sum().backward()
    assert torch.equal(output, expected)
    for gradient, parameter in zip(gradients, other.parameters(), strict=True):
        assert torch.allclose(gradient, parameter.grad)
    assert same(before, snapshot(net))
    assert torch.equal(net(inputs)[0], copy.deepcopy(net)(inputs)[0])


def test_the_output_is_the_first_tensor():
    x = torch.ones(2)
    assert first_tensor(x) is x
    assert first_tensor((x, None)) is x
    assert first_tensor([(x, 1), 2]) is x
    for wrong in ({"logits": x}, None, (), [[]], ("a", x)):
        with pytest.raises(TypeError, match=r"the model returned .*; expected a tensor or a tuple led by one"):
            first_tensor(wrong)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_recurrent_layer_holds_its_own_weights_again(kind):
    net = kind(3, 4, num_layers=2, bidirectional=True)
    names = [name for name, _ in net.named_parameters()]
    identities = {name: id(p) for name, p in net.named_parameters()}
    substitutes = {name: torch.zeros_like(p) for name, p in net.named_parameters()}
    with untouched(net, training=True):
        call_with(net, substitutes, torch.ones(2, 1, 3))
    assert [name for name, _ in net.named_parameters()] == names
    assert {name: id(p) for name, p in net.named_parameters()} == identities
    assert {id(w) for w in net._flat_weights} == set(identities.values())


class Twice(nn.Module):
    """One layer under two names, and one more that shares its weight."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.again = self.first
        self.tied = nn.Linear(3, 3)
        self.tied.weight = self.first.weight

    def forward(self, x):
        return self.tied(self.again(torch.tanh(self.first(x))))


def test_a_module_under_two_names_is_called_with_the_substitute_and_left_as_it_was():
    torch.manual_seed(0)
    model = Twice()
    before = snapshot(model)
    weight = torch.randn(3, 3)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.first.weight.copy_(weight)
    x = torch.randn(5, 3)
    torch.testing.assert_close(call_with(model, {"first.weight": weight}, x), other(x))
    assert same(before, snapshot(model))
    assert model.again.weight is model.first.weight is model.tied.weight
    assert isinstance(model.first.weight, nn.Parameter)
