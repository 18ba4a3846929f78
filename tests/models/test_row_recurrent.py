import numpy as np
import pytest
import torch

from thresher.core.prunable import prunable
from thresher.models import build
from thresher.models.row_recurrent import RowRecurrent


@pytest.fixture
def images():
    return torch.randn(3, 2, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _rows(images):
    """The steps: at height h the rows of all channels, side by side."""
    return [np.concatenate([images[:, c, h, :] for c in range(2)], axis=1) for h in range(5)]


def test_lstm_against_the_unrolled_equations(images, oracle, state_of):
    net = RowRecurrent((2, 5, 4), 3, cell="lstm", hidden=6).double()
    state = state_of(net)
    wx, wh, b = state["rnn.weight_ih_l0"], state["rnn.weight_hh_l0"], state["rnn.bias_ih_l0"]
    h = c = np.zeros((3, 6))
    for row in _rows(images.numpy()):
        gates = oracle.linear(row, state, "fc1") @ wx.T + h @ wh.T + b
        i, f, g, o = np.split(gates, 4, axis=1)
        c = oracle.sigmoid(f + 1.0) * c + oracle.sigmoid(i) * np.tanh(g)  # forget_bias = 1
        h = oracle.sigmoid(o) * np.tanh(c)
    np.testing.assert_allclose(net(images).detach().numpy(), oracle.linear(h, state, "fc2"), rtol=1e-10)


def test_gru_against_the_unrolled_equations(images, oracle, state_of):
    net = RowRecurrent((2, 5, 4), 3, cell="gru", hidden=6).double()
    state = state_of(net)
    wx, wh, b = state["rnn.weight_ih_l0"], state["rnn.weight_hh_l0"], state["rnn.bias_ih_l0"]
    h = np.zeros((3, 6))
    for row in _rows(images.numpy()):
        xr, xz, xn = np.split(oracle.linear(row, state, "fc1") @ wx.T + b, 3, axis=1)
        hr, hz, hn = np.split(h @ wh.T, 3, axis=1)
        r, z = oracle.sigmoid(xr + hr), oracle.sigmoid(xz + hz)
        h = (1 - z) * np.tanh(xn + r * hn) + z * h
    np.testing.assert_allclose(net(images).detach().numpy(), oracle.linear(h, state, "fc2"), rtol=1e-10)


@pytest.mark.parametrize("name", ["lstm-s", "gru-s"])
def test_the_second_bias_is_a_constant_of_torch_and_not_of_the_model(name):
    net = build(name)
    assert [n for n, p in net.named_parameters() if not p.requires_grad] == ["rnn.bias_hh_l0"]
    assert "rnn.bias_hh_l0" not in prunable(net, biases=True)
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1, weight_decay=0.1)
    before = {n: p.detach().clone() for n, p in net.named_parameters()}
    net(torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    optimizer.step()
    assert [n for n, p in net.named_parameters() if torch.equal(p, before[n])] == ["rnn.bias_hh_l0"]
