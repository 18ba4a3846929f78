"""The sparse GRU against its equations in NumPy, unit by unit; what it shares with the LSTM: test_recurrence.py."""

import numpy as np
import pytest
import torch

from thresher.ops.gru import gru
from thresher.ops.topology import Topology


def sigma(a):
    return 1 / (1 + np.exp(-a))


def equations(x, h, s, r, b, d):
    """r, z = σ(…), n = tanh(S·x + b + r⊙(R·h + d)), in rows of the order r, z, n."""
    states = []
    for step in x:
        (reset, update, new), (reset_h, update_h, new_h) = (
            np.split(a, 3, axis=1) for a in (step @ s.T + b, h @ r.T + d)
        )
        z = sigma(update + update_h)
        h = (1 - z) * np.tanh(new + sigma(reset + reset_h) * new_h) + z * h
        states.append(h)
    return np.stack(states), h


@pytest.mark.parametrize("bias", [True, False])
def test_the_equations(bias):
    draw = np.random.default_rng(0)
    x, h0 = draw.normal(size=(5, 6, 3)), draw.normal(size=(6, 4))
    keeps = draw.random((12, 3)) < 0.6, draw.random((12, 4)) < 0.3
    s, r = draw.normal(size=(12, 3)) * keeps[0], draw.normal(size=(12, 4)) * keeps[1]
    b, d = draw.normal(size=12) * bias, draw.normal(size=12) * bias
    topologies = [Topology.of(torch.from_numpy(keep)) for keep in keeps]
    values = [torch.from_numpy(w[keep]) for w, keep in zip((s, r), keeps, strict=True)]
    biases = [torch.from_numpy(b), torch.from_numpy(d)] if bias else [None, None]
    found = gru(torch.from_numpy(x), torch.from_numpy(h0), values[0], topologies[0], values[1], topologies[1], *biases)
    for came, expected in zip(found, equations(x, h0, s, r, b, d), strict=True):
        np.testing.assert_allclose(came.numpy(), expected, rtol=1e-13, atol=1e-15)


def test_a_shut_update_gate_carries_the_state_and_its_gradient_through_a_thousand_steps():
    none = Topology.of(torch.zeros(3, 1, dtype=torch.bool))
    h0 = torch.tensor([[0.25]], requires_grad=True)
    bias, empty = torch.tensor([0.0, 99.0, 0.0]), torch.zeros(0)  # z = 1: nothing new
    y, h = gru(torch.ones(1000, 1, 1), h0, empty, none, empty, none, bias, torch.zeros(3))
    h.sum().backward()
    assert torch.equal(y, torch.full((1000, 1, 1), 0.25))
    assert h0.grad.item() == 1.0
