"""Against forward and backward passes written out in NumPy."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from thresher.analysis.signal_norms import signal_norms
from thresher.core import Mask
from thresher.core.errors import DataError, NonFiniteError


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 3))


@pytest.fixture
def data():
    draw = torch.Generator().manual_seed(1)
    return [(torch.randn(n, 4, generator=draw), torch.randint(3, (n,), generator=draw)) for n in (3, 2)]


def test_sizes_are_those_of_a_pass_written_out(net, data):
    mask = Mask({"0.weight": torch.rand(6, 4, generator=torch.Generator().manual_seed(2)) < 0.5})
    found = signal_norms(net, data, cross_entropy, mask=mask)
    first = net[0].weight.detach().double().numpy() * mask["0.weight"].numpy()
    second = net[2].weight.detach().double().numpy()
    sizes = {"0": [], "2": []}
    slopes = {"0": [], "2": []}
    for inputs, targets in data:
        for x, y in zip(inputs.double().numpy(), targets.tolist(), strict=True):
            h = first @ x + net[0].bias.detach().double().numpy()
            logits = second @ np.maximum(h, 0) + net[2].bias.detach().double().numpy()
            delta = np.exp(logits) / np.exp(logits).sum() - np.eye(3)[y]
            sizes["0"].append(np.sqrt((h**2).mean()))
            sizes["2"].append(np.sqrt((logits**2).mean()))
            slopes["2"].append(np.linalg.norm(delta))
            slopes["0"].append(np.linalg.norm((delta @ second) * (h > 0)))
    for name in ("0", "2"):
        assert found[name].activation == pytest.approx(np.mean(sizes[name]), rel=1e-12)
        assert found[name].gradient == pytest.approx(np.mean(slopes[name]), rel=1e-12)


def test_units_that_nothing_reaches_are_dead(net, data):
    keep = torch.ones(6, 4, dtype=torch.bool)
    keep[[1, 4, 5]] = False
    assert signal_norms(net, data, cross_entropy, mask=Mask({"0.weight": keep}))["0"].dead == 0.5
    assert signal_norms(net, data[:1], cross_entropy)["0"].dead == 0.0


def test_a_convolutions_units_are_its_channels():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(16, 2))
    keep = torch.ones(4, 1, 3, 3, dtype=torch.bool)
    keep[2] = False
    data = [(torch.randn(3, 1, 4, 4), torch.tensor([0, 1, 1]))]
    assert signal_norms(model, data, cross_entropy, mask=Mask({"0.weight": keep}))["0"].dead == 0.25


def test_recurrent_layers_and_targets_that_are_no_classes():
    torch.manual_seed(0)

    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.fc = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 2)

        def forward(self, x):
            return self.fc(self.lstm(x)[0][:, -1])

    model, data = Last(), [(torch.randn(3, 5, 3), torch.randn(3, 2))]
    found = signal_norms(model, data, mse_loss)
    states = model.double().lstm(data[0][0].double())[0].detach()
    assert found["lstm"].activation == pytest.approx(float(states.flatten(1).square().mean(1).sqrt().mean()), rel=1e-6)
    error = (model.fc(states[:, -1]) - data[0][1]).detach()
    # the loss is a mean over 6 numbers, and an example's own loss one over its 2
    assert found["fc"].gradient == pytest.approx(float(error.norm(dim=1).mean()), rel=1e-6)


def test_nothing_stays_behind_and_bad_weights_and_no_data_are_refused(net, data):
    before = {name: value.clone() for name, value in net.state_dict().items()}
    signal_norms(net.train(), data, cross_entropy)
    assert not any(module._forward_hooks for module in net.modules())
    assert net.training
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    with pytest.raises(DataError):
        signal_norms(net, [], cross_entropy)
    net[2].bias.data[0] = float("nan")
    with pytest.raises(NonFiniteError, match=r"1 of 3 values of 2\.bias"):
        signal_norms(net, data, cross_entropy)
