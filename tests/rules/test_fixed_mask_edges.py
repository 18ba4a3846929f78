"""What a fixed mask survives, what it leaves alone, and what it refuses."""

import copy
import pickle

import pytest
import torch
from torch import nn

from thresher.core import Mask
from thresher.core.errors import ArgumentError, MaskMismatchError
from thresher.rules import FixedMask

HOLDINGS = ["prune", "freeze", "straight-through"]
LR, MOMENTUM = 0.05, 0.9
MASK = Mask(
    {
        "0.weight": torch.rand(4, 5, generator=torch.Generator().manual_seed(0)) < 0.4,
        "2.weight": torch.rand(3, 4, generator=torch.Generator().manual_seed(1)) < 0.4,
    }
)
X = torch.randn(16, 5, generator=torch.Generator().manual_seed(2))
OPTIMIZERS = {
    "nesterov": lambda p: torch.optim.SGD(p, LR, MOMENTUM, weight_decay=0.1, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, LR, weight_decay=0.1, amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, LR, weight_decay=0.1),
}


def network():
    generator = torch.Generator().manual_seed(3)
    net = nn.Sequential(nn.Linear(5, 4, bias=False), nn.Tanh(), nn.Linear(4, 3, bias=False))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(generator=generator)
    return net


def started(net, holding="prune", make=lambda p: torch.optim.SGD(p, LR, MOMENTUM)):
    optimizer, keep = make(net.parameters()), FixedMask(MASK, holding)
    keep.start(net, optimizer)
    return optimizer, keep


def backward(net, optimizer):
    optimizer.zero_grad()
    net(X).square().sum(1).mean().backward()


def step(net, optimizer, keep):
    backward(net, optimizer)
    optimizer.step()
    keep.after_step()


def equal(net, other):
    return all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))


def removed_of(net):
    return [(parameter, ~MASK[name]) for name, parameter in net.named_parameters()]


def masked_network():
    net = network()
    MASK.apply_(net)
    return net


@pytest.mark.parametrize("bad", [torch.inf, -torch.inf, torch.nan])
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_what_is_not_finite_among_the_removed_weights_is_gone(make, bad):
    clean, net = network(), network()
    with torch.no_grad():
        for parameter, removed in removed_of(net):
            parameter[removed] = bad
    clean_rule, rule = started(clean, make=make), started(net, make=make)
    for _ in range(3):
        step(clean, *clean_rule)
        backward(net, rule[0])
        for parameter, removed in removed_of(net):
            parameter.grad[removed] = bad
        rule[0].step()
        rule[1].after_step()
    assert equal(net, clean)
    for parameter, removed in removed_of(net):
        slots = [slot for slot in rule[0].state[parameter].values() if slot.shape == parameter.shape]
        assert slots
        assert all(bool((slot[removed] == 0).all()) for slot in slots)


@pytest.mark.parametrize("bad", [torch.inf, torch.nan])
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_frozen_weights_keep_their_value_whatever_their_gradient(make, bad):
    net = network()
    optimizer, keep = started(net, "freeze", make)
    for _ in range(3):
        backward(net, optimizer)
        for parameter, removed in removed_of(net):
            parameter.grad[removed] = bad
        optimizer.step()
        keep.after_step()
    for (parameter, removed), initial in zip(removed_of(net), network().parameters(), strict=True):
        assert torch.equal(parameter[removed], initial[removed])
        assert bool((parameter[~removed] != initial[~removed]).all())


@pytest.mark.parametrize("holding", HOLDINGS)
def test_a_skipped_step_changes_nothing(holding):
    net, twin = network(), network()
    rule, twin_rule = started(net, holding), started(twin, holding)
    for _ in range(4):
        rule[1].after_step()  # as after a step that loss scaling skipped
        step(net, *rule)
        step(twin, *twin_rule)
        assert equal(net, twin)
    for each, optimizer in ((net, rule[0]), (twin, twin_rule[0])):
        backward(each, optimizer)
        optimizer.step()
    assert equal(net, twin)  # between a step and `after_step` the hidden weights are to be seen


def test_loss_scaling_that_skips_a_step_leaves_the_hidden_weights():
    net = network()
    optimizer, keep = started(net, "straight-through")
    scaler = torch.amp.GradScaler("cpu")
    for factor in (torch.inf, 0.0):
        optimizer.zero_grad()
        scaler.scale(net(X).sum() * factor).backward()
        scaler.step(optimizer)
        scaler.update()
        if factor == 0.0:
            assert equal(net, network())
        keep.after_step()
        assert equal(net, masked_network())


@pytest.mark.parametrize("holding", HOLDINGS)
def test_the_model_stays_a_plain_model(holding):
    net = network()
    parameters, keys = list(net.parameters()), list(net.state_dict())
    rule = started(net, holding)
    step(net, *rule)
    assert all(a is b for a, b in zip(net.parameters(), parameters, strict=True))
    assert list(net.state_dict()) == keys
    for module in net.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._backward_hooks
    assert not any(parameter._backward_hooks for parameter in parameters)
    assert equal(copy.deepcopy(net), net)
    assert equal(pickle.loads(pickle.dumps(net)), net)
    torch.optim.SGD(network().parameters(), LR).load_state_dict(copy.deepcopy(rule[0].state_dict()))


@pytest.mark.parametrize("holding", HOLDINGS)
def test_weights_in_channels_last_order_are_held_too(holding):
    torch.manual_seed(0)
    plain = nn.Conv2d(3, 4, 3, bias=False)
    last = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    mask, inputs = Mask({"weight": torch.rand(4, 3, 3, 3) < 0.5}), torch.randn(2, 3, 6, 6)
    for net in (plain, last):
        optimizer, keep = torch.optim.SGD(net.parameters(), LR, MOMENTUM), FixedMask(mask, holding)
        keep.start(net, optimizer)
        for _ in range(3):
            optimizer.zero_grad()
            net(inputs).square().mean().backward()
            optimizer.step()
            keep.after_step()
    assert last.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(plain.weight, last.weight, atol=1e-6)


def test_starting_again_moves_the_rule():
    first, second = network(), network()
    keep = FixedMask(MASK, "straight-through")
    old, new = (torch.optim.SGD(net.parameters(), LR) for net in (first, second))
    keep.start(first, old)
    keep.start(second, new)
    for parameter in (*first.parameters(), *second.parameters()):
        parameter.grad = torch.zeros_like(parameter)
    old.step()
    assert equal(first, masked_network())
    assert equal(second, masked_network())
    new.step()
    assert equal(second, network())
    keep.after_step()
    assert equal(second, masked_network())


def test_a_mask_for_another_model_is_refused_and_the_model_left():
    net = network()
    keep = FixedMask(Mask({**MASK, "conv.weight": torch.ones(1, dtype=torch.bool)}))
    with pytest.raises(MaskMismatchError, match=r"conv\.weight is not in Sequential"):
        keep.start(net, torch.optim.SGD(net.parameters(), LR))
    assert equal(net, network())
    with pytest.raises(ArgumentError, match="call start"):
        keep.after_step()


def test_a_step_before_the_start_is_an_error():
    with pytest.raises(ArgumentError, match=r"call start\(model, optimizer\) before"):
        FixedMask(MASK).after_step()


def test_an_unknown_holding_is_named():
    with pytest.raises(ArgumentError, match="holding is 'prune', 'freeze' or 'straight-through': got 'forward'"):
        FixedMask(MASK, "forward")


@pytest.mark.parametrize("holding", ["prune", "freeze"])
def test_gradient_clipping_sees_the_kept_weights_alone(holding):
    torch.manual_seed(0)
    model = torch.nn.Linear(6, 4, bias=False)
    mask = Mask({"weight": torch.rand(4, 6) < 0.3})
    initial = model.weight.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    FixedMask(mask, holding).start(model, optimizer)
    inputs = torch.randn(5, 6)
    model(inputs).square().sum().backward()
    effective = initial if holding == "freeze" else initial * mask["weight"]
    gradient = 2 * (inputs @ effective.T).T @ inputs * mask["weight"]
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)
    assert norm.item() == pytest.approx(gradient.norm().item(), rel=1e-5)
    assert torch.allclose(model.weight.grad, gradient * 0.01 / norm, atol=1e-6)


def test_starting_anew_leaves_no_hook_behind():
    model = torch.nn.Linear(2, 2, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    keep = FixedMask(Mask({"weight": torch.tensor([[True, False], [True, True]])}))
    keep.start(model, optimizer)
    other = torch.nn.Linear(2, 2, bias=False)
    keep.start(other, torch.optim.SGD(other.parameters(), lr=0.1))
    model(torch.ones(1, 2)).sum().backward()
    assert model.weight.grad[0, 1] == 1.0


@pytest.mark.parametrize("holding", ["freeze", "straight-through"])
def test_state_round_trip_goes_on_as_if_nothing_happened(holding):
    def steps(model, optimizer, keep, count):
        for _ in range(count):
            optimizer.zero_grad()
            model(torch.ones(3, 4)).square().sum().backward()
            optimizer.step()
            keep.after_step()

    torch.manual_seed(0)
    model = torch.nn.Linear(4, 3)
    mask = Mask({"weight": torch.rand(3, 4) < 0.5})
    twin = copy.deepcopy(model)
    make = lambda net: torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=0.1)  # noqa: E731
    optimizer, keep = make(model), FixedMask(mask, holding)
    keep.start(model, optimizer)
    steps(model, optimizer, keep, 3)
    saved = copy.deepcopy((model.state_dict(), optimizer.state_dict(), keep.state_dict()))
    steps(model, optimizer, keep, 3)

    other, again = make(twin), FixedMask(mask, holding)
    twin.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    again.load_state_dict(saved[2])
    again.start(twin, other)
    steps(twin, other, again, 3)
    assert torch.equal(model.weight, twin.weight)
    for own, held in zip(keep.state_dict()["held"], again.state_dict()["held"], strict=True):
        assert torch.equal(own, held)


def test_the_optimizer_of_another_model_is_refused():
    model, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    keep = FixedMask(Mask({"weight": torch.ones(2, 2, dtype=torch.bool)}))
    with pytest.raises(ArgumentError, match="none of the masked parameters"):
        keep.start(model, torch.optim.SGD(other.parameters(), lr=0.1))
