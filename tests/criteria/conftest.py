"""Small float64 networks and batches that the criteria are held against."""

import pytest
import torch
from torch import nn


class ConvNet(nn.Module):
    """Convolution, batch norm, dropout, linear: everything that has a mode, a buffer or a draw."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 3, 3, stride=2)
        self.drop = nn.Dropout(0.25)
        self.fc = nn.Linear(12, 3)

    def forward(self, x):
        hidden = torch.tanh(self.conv2(torch.relu(self.bn(self.conv1(x)))))
        return self.fc(self.drop(hidden.flatten(1)))


@pytest.fixture
def conv_net():
    torch.manual_seed(0)
    net = ConvNet().double()
    with torch.no_grad():  # a network that has seen something: statistics and scales off their initial values
        net.bn.running_mean.uniform_(0.1, 0.9)
        net.bn.running_var.uniform_(0.5, 2.0)
        net.bn.weight.uniform_(-1.5, 1.5)
        net.bn.bias.uniform_(-0.5, 0.5)
    return net


@pytest.fixture
def images():
    """Twelve examples in batches of 5, 3 and 4."""
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(12, 2, 6, 6, generator=draw, dtype=torch.float64)
    y = torch.randint(3, (12,), generator=draw)
    return list(zip(x.split([5, 3, 4]), y.split([5, 3, 4]), strict=True))


@pytest.fixture
def tanh_net():
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()


@pytest.fixture
def points():
    """Twelve examples in batches of 5, 3 and 4."""
    draw = torch.Generator().manual_seed(3)
    x = torch.randn(12, 4, generator=draw, dtype=torch.float64)
    y = torch.randint(3, (12,), generator=draw)
    return list(zip(x.split([5, 3, 4]), y.split([5, 3, 4]), strict=True))


@pytest.fixture
def joined():
    """All batches as one."""
    return lambda batches: [tuple(torch.cat(parts) for parts in zip(*batches, strict=True))]
