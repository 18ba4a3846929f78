"""Whatever the optimizer, and whoever writes to weights, gradients and state: after the step the mask is held."""

import copy

import pytest
import torch
from torch import nn, optim

from thresher.core import Mask
from thresher.rules import FixedMask

KEEP = torch.rand(6, 5, generator=torch.Generator().manual_seed(0)) < 0.4
X = torch.randn(16, 5, generator=torch.Generator().manual_seed(1))


class Noise(optim.SGD):
    """SGD, then noise on every weight."""

    @torch.no_grad()
    def step(self):
        super().step()
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.add_(torch.ones_like(parameter))


OPTIMIZERS = {
    "nesterov": lambda p: optim.SGD(p, 0.05, 0.9, nesterov=True, maximize=True),
    "foreach": lambda p: optim.SGD(p, 0.05, 0.9, foreach=True),
    "fused": lambda p: optim.SGD(p, 0.05, 0.9, fused=True),
    "decay": lambda p: optim.SGD(p, 0.05, 0.9, weight_decay=0.1),
    "decay-in-a-group": lambda p: optim.SGD([{"params": p[:1], "weight_decay": 0.1}, {"params": p[1:]}], 0.05),
    "adam": lambda p: optim.Adam(p, 0.05, amsgrad=True),
    "adam-0/0": lambda p: optim.Adam(p, 0.05, eps=0.0),
    "fused-adamw": lambda p: optim.AdamW(p, 0.05, fused=True),
    "rmsprop": lambda p: optim.RMSprop(p, 0.05, momentum=0.9, centered=True),
    "adagrad": lambda p: optim.Adagrad(p, 0.05, initial_accumulator_value=0.1, lr_decay=0.1),
    "nadam": lambda p: optim.NAdam(p, 0.05),
    "radam": lambda p: optim.RAdam(p, 0.05),
    "rprop": lambda p: optim.Rprop(p),  # its state starts as the learning rate
    "adamax": lambda p: optim.Adamax(p),  # its state grows by eps
    "asgd": lambda p: optim.ASGD(p),  # its state is the weight
    "infinite": lambda p: optim.SGD(p, torch.inf),  # 0·∞
    "noise": lambda p: Noise(p, 0.05),
}


def momentum(parameters):
    return optim.SGD(parameters, 0.05, 0.9)


class Run:
    """A layer of 6×5 under a mask, with what must be true of it after every step."""

    def __init__(self, holding="prune", make=momentum, dtype=torch.float32):
        torch.manual_seed(2)
        self.net = nn.Linear(5, 6).to(dtype)
        self.inputs = X.to(dtype)
        self.optimizer = make(list(self.net.parameters()))
        self.keep = FixedMask(Mask({"weight": KEEP}), holding)
        self.keep.start(self.net, self.optimizer)
        self.removed = self.net.weight.detach()[~KEEP].clone()

    def backward(self, factor=1.0):
        (self.net(self.inputs).square().sum(1).mean() * factor).backward()

    def step(self, disturb=None, between=None):
        self.optimizer.zero_grad()
        self.backward()
        if disturb is not None:
            disturb()
        self.optimizer.step()
        if between is not None:
            between()
        self.after_step()

    def after_step(self):
        self.keep.after_step()
        assert torch.equal(self.net.weight[~KEEP], self.removed)
        for slot in self.optimizer.state.get(self.net.weight, {}).values():
            assert slot.shape != KEEP.shape or not bool(slot[~KEEP].any())


@torch.no_grad()
def noise(tensor):
    tensor.add_(1.0)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("holding", ["prune", "freeze"])
def test_every_optimizer_is_held(holding, name):
    run = Run(holding, OPTIMIZERS[name])
    for _ in range(3):
        run.step()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("holding", ["prune", "freeze"])
def test_every_precision_is_held(holding, dtype):
    run = Run(holding, lambda p: optim.Adam(p, 1e-3, foreach=False), dtype)
    for _ in range(3):
        run.step()


@pytest.mark.parametrize("holding", ["prune", "freeze"])
@pytest.mark.parametrize("bad", [1.0, torch.inf, torch.nan])
@pytest.mark.parametrize("way", ["write", "replace"])
def test_gradients_set_by_hand(holding, bad, way):
    run = Run(holding)

    def by_hand():
        if way == "replace":
            run.net.weight.grad = torch.full((6, 5), 1.0)
        run.net.weight.grad[~KEEP] = bad

    for disturb in (None, by_hand, None, by_hand):
        run.step(disturb)


@pytest.mark.parametrize("holding", ["prune", "freeze"])
@pytest.mark.parametrize("when", ["disturb", "between"])
@pytest.mark.parametrize("what", ["weight", "data", "state"])
def test_whoever_writes_to_weight_or_state(holding, when, what):
    run = Run(holding)
    run.step()
    state = run.optimizer.state[run.net.weight]
    targets = {"weight": run.net.weight, "data": run.net.weight.data, "state": state["momentum_buffer"]}
    run.step(**{when: lambda: noise(targets[what])})


@pytest.mark.parametrize("to", ["gradient", "weight"])
@pytest.mark.parametrize("holding", ["prune", "freeze"])
def test_a_closure_may_do_anything(holding, to):
    run = Run(holding)

    def closure():
        run.optimizer.zero_grad()
        run.backward()
        noise(run.net.weight.grad if to == "gradient" else run.net.weight)

    for _ in range(2):
        run.optimizer.step(closure)
        run.after_step()


@pytest.mark.parametrize("holding", ["prune", "freeze"])
def test_state_loaded_in_mid_training(holding):
    other = Run("straight-through")
    for _ in range(2):
        other.optimizer.zero_grad()
        other.backward()
        other.optimizer.step()
        other.keep.after_step()
    run = Run(holding)
    run.step()
    run.optimizer.load_state_dict(copy.deepcopy(other.optimizer.state_dict()))
    assert bool(run.optimizer.state[run.net.weight]["momentum_buffer"][~KEEP].any())
    run.step()


def test_momentum_from_before_the_start():
    net = nn.Linear(5, 6)
    optimizer = momentum(net.parameters())
    net(X).sum().backward()
    optimizer.step()
    keep = FixedMask(Mask({"weight": KEEP}))
    keep.start(net, optimizer)
    optimizer.step()  # the gradient is still the one of the dense network
    keep.after_step()
    assert not bool(net.weight[~KEEP].any())
    assert not bool(optimizer.state[net.weight]["momentum_buffer"][~KEEP].any())


def test_gradients_added_up_over_backwards():
    run = Run()
    for _ in range(3):
        run.step(run.backward)
        assert not bool(run.net.weight.grad[~KEEP].any())


def test_two_groups_and_a_parameter_switched_off_and_on():
    run = Run(make=lambda p: optim.SGD([{"params": [p[0]]}, {"params": [p[1]], "weight_decay": 0.1}], 0.05, 0.9))
    run.step()
    run.net.weight.requires_grad_(False)
    before = run.net.weight.clone()
    run.step()
    assert torch.equal(run.net.weight, before)
    run.net.weight.requires_grad_(True)
    run.step()
    assert not torch.equal(run.net.weight, before)


def test_a_parameter_switched_on_after_the_start():
    net = nn.Linear(5, 6)
    net.weight.requires_grad_(False)
    keep, optimizer = FixedMask(Mask({"weight": KEEP})), momentum(net.parameters())
    keep.start(net, optimizer)
    net.weight.requires_grad_(True)
    net(X).sum().backward()
    optimizer.step()
    keep.after_step()
    assert not bool(net.weight[~KEEP].any())
    assert not bool(optimizer.state[net.weight]["momentum_buffer"][~KEEP].any())


def test_straight_through_weights_keep_their_memory_between_steps():
    torch.manual_seed(0)
    net = nn.Linear(5, 6)
    optimizer, keep = momentum(net.parameters()), FixedMask(Mask({"weight": KEEP}), "straight-through")
    keep.start(net, optimizer)
    address, view = net.weight.data_ptr(), net.weight.detach()
    for _ in range(3):
        optimizer.zero_grad()
        net(X).square().mean().backward()
        optimizer.step()
        keep.after_step()
        assert net.weight.data_ptr() == address
        assert torch.equal(view, net.weight)
        assert not bool(view[~KEEP].any())
        assert torch.equal(view[KEEP], keep.state_dict()["held"][0][KEEP])


@pytest.mark.parametrize("holding", ["prune", "freeze", "straight-through"])
def test_tied_weights_are_held_once_and_removed_where_either_mask_says_so(holding):
    def train(names):
        torch.manual_seed(3)
        net = nn.Sequential(nn.Linear(5, 5, bias=False), nn.Tanh(), nn.Linear(5, 5, bias=False))
        net[2].weight = net[0].weight
        both = {"0.weight": KEEP[:5], "2.weight": KEEP[1:]}
        either = {"0.weight": KEEP[:5] & KEEP[1:]}
        optimizer, keep = momentum(net.parameters()), FixedMask(Mask(both if names == 2 else either), holding)
        keep.start(net, optimizer)
        for _ in range(4):
            optimizer.zero_grad()
            net(X).square().mean().backward()
            optimizer.step()
            keep.after_step()
        return net[0].weight.detach(), keep.state_dict()["held"]

    (weight, held), (expected, expected_held) = train(2), train(1)
    assert torch.equal(weight, expected)
    assert all(torch.equal(a, b) for a, b in zip(held, expected_held, strict=True))
