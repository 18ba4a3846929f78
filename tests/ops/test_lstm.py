"""The sparse LSTM against its equations in NumPy, unit by unit; what it shares with the GRU: test_recurrence.py."""

import numpy as np
import torch

from thresher.ops.lstm import lstm
from thresher.ops.topology import Topology


def sigma(a):
    return 1 / (1 + np.exp(-a))


def equations(x, h, c, s, r, b):
    """i, f, o = σ(…), g = tanh(…), in rows of the order i, f, g, o."""
    states = []
    for step in x:
        i, f, g, o = np.split(step @ s.T + h @ r.T + b, 4, axis=1)
        c = sigma(f) * c + sigma(i) * np.tanh(g)
        h = sigma(o) * np.tanh(c)
        states.append(h)
    return np.stack(states), h, c


def test_the_equations():
    draw = np.random.default_rng(0)
    x, h0, c0 = draw.normal(size=(5, 6, 3)), draw.normal(size=(6, 4)), draw.normal(size=(6, 4))
    keeps = draw.random((16, 3)) < 0.6, draw.random((16, 4)) < 0.3
    s, r, b = draw.normal(size=(16, 3)) * keeps[0], draw.normal(size=(16, 4)) * keeps[1], draw.normal(size=16)
    topologies = [Topology.of(torch.from_numpy(keep)) for keep in keeps]
    values = [torch.from_numpy(w[keep]) for w, keep in zip((s, r), keeps, strict=True)]
    sequence, states = torch.from_numpy(x), [torch.from_numpy(h0), torch.from_numpy(c0)]
    found = lstm(sequence, *states, values[0], topologies[0], values[1], topologies[1], torch.from_numpy(b))
    for came, expected in zip(found, equations(x, h0, c0, s, r, b), strict=True):
        np.testing.assert_allclose(came.numpy(), expected, rtol=1e-13, atol=1e-15)


def test_an_open_forget_gate_carries_the_memory_and_its_gradient_through_a_thousand_steps():
    none = Topology.of(torch.zeros(4, 1, dtype=torch.bool))
    c0 = torch.tensor([[0.25]], requires_grad=True)
    bias = torch.tensor([-99.0, 99.0, 0.0, 99.0])  # nothing in, all kept, all shown
    empty = torch.zeros(0)
    y, _, c = lstm(torch.ones(1000, 1, 1), torch.zeros(1, 1), c0, empty, none, empty, none, bias)
    c.sum().backward()
    assert c.item() == 0.25
    assert c0.grad.item() == 1.0
    torch.testing.assert_close(y, torch.full((1000, 1, 1), 0.25).tanh())
