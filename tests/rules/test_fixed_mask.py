"""The three holdings against training loops written in float64 NumPy, where a masked network is a product."""

import numpy as np
import pytest
import torch
from torch import nn

from thresher.core import Mask
from thresher.rules import FixedMask

HOLDINGS = ["prune", "freeze", "straight-through"]
LR, DECAY, MOMENTUM = 0.05, 0.1, 0.9
NAMES = ["0.weight", "2.weight"]

_random = np.random.default_rng(0)
X, Y = _random.normal(size=(16, 5)), _random.normal(size=(16, 3))
WEIGHTS = [_random.normal(size=(4, 5)), _random.normal(size=(3, 4))]
KEPT = [_random.random(w.shape) < 0.4 for w in WEIGHTS]


class Sgd:
    """Step for step what torch documents for SGD; `nesterov` looks ahead."""

    def __init__(self, nesterov=False):
        self.nesterov = nesterov
        self.state = [{"momentum_buffer": np.zeros_like(w)} for w in WEIGHTS]

    def update(self, i, w, g):
        g = g + DECAY * w
        buffer = self.state[i]["momentum_buffer"]
        buffer[:] = MOMENTUM * buffer + g
        return w - LR * (g + MOMENTUM * buffer if self.nesterov else buffer)


class Adam:
    """Kingma and Ba (2015), algorithm 1; decay in the gradient, or decoupled (Loshchilov and Hutter 2019)."""

    def __init__(self, decoupled=False):
        self.decoupled = decoupled
        self.steps = [0, 0]
        self.state = [{"exp_avg": np.zeros_like(w), "exp_avg_sq": np.zeros_like(w)} for w in WEIGHTS]

    def update(self, i, w, g):
        self.steps[i] += 1
        t, first, second = self.steps[i], *self.state[i].values()
        if self.decoupled:
            w = w * (1 - LR * DECAY)
        else:
            g = g + DECAY * w
        first[:] = 0.9 * first + 0.1 * g
        second[:] = 0.999 * second + 0.001 * g**2
        return w - LR * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)


OPTIMIZERS = {
    "momentum": (lambda p: torch.optim.SGD(p, LR, MOMENTUM, weight_decay=DECAY), lambda: Sgd()),
    "nesterov": (
        lambda p: torch.optim.SGD(p, LR, MOMENTUM, weight_decay=DECAY, nesterov=True),
        lambda: Sgd(nesterov=True),
    ),
    "adam": (lambda p: torch.optim.Adam(p, LR, weight_decay=DECAY), lambda: Adam()),
    "adamw": (lambda p: torch.optim.AdamW(p, LR, weight_decay=DECAY), lambda: Adam(decoupled=True)),
}


def gradients(weights):
    """Of the mean over examples of ‖W₂ tanh(W₁ x) - y‖²."""
    hidden = np.tanh(X @ weights[0].T)
    out = 2 * (hidden @ weights[1].T - Y) / len(X)
    return [((out @ weights[1]) * (1 - hidden**2)).T @ X, out.T @ hidden]


class Simulation:
    """The holdings as their definitions have them: `seen` is the network, `weights` what the optimizer moves."""

    def __init__(self, optimizer):
        self.optimizer, self.holding = optimizer, None
        self.weights = [w.copy() for w in WEIGHTS]

    def start(self, holding):
        self.holding = holding
        if holding == "straight-through":
            return
        for i, kept in enumerate(KEPT):
            if holding == "prune":
                self.weights[i] = self.weights[i] * kept
            for slot in self.optimizer.state[i].values():
                slot *= kept

    @property
    def seen(self):
        through = self.holding == "straight-through"
        return [w * kept if through else w for w, kept in zip(self.weights, KEPT, strict=True)]

    def step(self):
        for i, g in enumerate(gradients(self.seen)):
            before = self.weights[i]
            if self.holding in ("prune", "freeze"):
                g = g * KEPT[i]
            moved = self.optimizer.update(i, before, g)
            if self.holding == "freeze":
                moved = np.where(KEPT[i], moved, before)
                for slot in self.optimizer.state[i].values():
                    slot *= KEPT[i]
            self.weights[i] = moved


def network():
    net = nn.Sequential(nn.Linear(5, 4, bias=False), nn.Tanh(), nn.Linear(4, 3, bias=False)).double()
    with torch.no_grad():
        for parameter, w in zip(net.parameters(), WEIGHTS, strict=True):
            parameter.copy_(torch.from_numpy(w))
    return net


def mask():
    return Mask({name: torch.from_numpy(kept) for name, kept in zip(NAMES, KEPT, strict=True)})


def backward(net, optimizer):
    optimizer.zero_grad()
    (net(torch.from_numpy(X)) - torch.from_numpy(Y)).square().sum(1).mean().backward()


def step(net, optimizer, keep=None):
    backward(net, optimizer)
    optimizer.step()
    if keep is not None:
        keep.after_step()


def close(net, arrays):
    return all(
        np.allclose(p.detach().numpy(), a, rtol=1e-11, atol=1e-13)
        for p, a in zip(net.parameters(), arrays, strict=True)
    )


@pytest.mark.parametrize("steps_before", [0, 3])
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("holding", HOLDINGS)
def test_each_holding_trains_as_its_definition_does(holding, name, steps_before):
    make, make_by_hand = OPTIMIZERS[name]
    net = network()
    optimizer, simulation = make(net.parameters()), Simulation(make_by_hand())
    for _ in range(steps_before):
        step(net, optimizer)
        simulation.step()
    keep = FixedMask(mask(), holding)
    keep.start(net, optimizer)
    simulation.start(holding)
    assert close(net, simulation.seen)
    for _ in range(6):
        step(net, optimizer)
        simulation.step()
        if holding == "straight-through":
            assert close(net, simulation.weights)  # between the step and `after_step` they are to be seen
        keep.after_step()
        assert close(net, simulation.seen)
        for i, parameter in enumerate(net.parameters()):
            for slot, expected in simulation.optimizer.state[i].items():
                assert np.allclose(optimizer.state[parameter][slot].numpy(), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("steps_before", [0, 3])
@pytest.mark.parametrize(
    "make",
    [
        *(make for make, _ in OPTIMIZERS.values()),
        lambda p: torch.optim.AdamW(p, LR, amsgrad=True),
        lambda p: torch.optim.RMSprop(p, LR, momentum=0.9, centered=True, weight_decay=DECAY),
        lambda p: torch.optim.Adagrad(p, LR, initial_accumulator_value=0.1),
        lambda p: torch.optim.Adadelta(p),
    ],
)
def test_removed_weights_and_their_state_are_exactly_zero_after_every_step(make, steps_before):
    net = network()
    optimizer = make(net.parameters())
    for _ in range(steps_before):
        step(net, optimizer)
    keep = FixedMask(mask())
    keep.start(net, optimizer)
    for _ in range(4):
        for parameter, kept in zip(net.parameters(), KEPT, strict=True):
            slots = [s for s in optimizer.state[parameter].values() if s.shape == parameter.shape]
            for tensor in (parameter, *slots):
                assert not bool(tensor[torch.from_numpy(~kept)].any())
        step(net, optimizer, keep)
        assert not any(bool(p.grad[torch.from_numpy(~k)].any()) for p, k in zip(net.parameters(), KEPT, strict=True))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_pruned_network_trains_as_one_whose_weights_are_multiplied_by_the_mask(name):
    make, _ = OPTIMIZERS[name]
    net, by_hand = network(), network()
    keep = FixedMask(mask())
    optimizer = make(net.parameters())
    keep.start(net, optimizer)
    masks = [torch.from_numpy(kept).double() for kept in KEPT]
    masked = [(p.detach() * m).requires_grad_() for p, m in zip(by_hand.parameters(), masks, strict=True)]
    hand_optimizer = make(masked)
    for _ in range(5):
        step(net, optimizer, keep)
        hand_optimizer.zero_grad()
        hidden = torch.tanh(torch.from_numpy(X) @ (masks[0] * masked[0]).T)
        (hidden @ (masks[1] * masked[1]).T - torch.from_numpy(Y)).square().sum(1).mean().backward()
        hand_optimizer.step()
    assert close(net, [w.detach().numpy() for w in masked])
