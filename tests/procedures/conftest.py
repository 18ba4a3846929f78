"""A small convolutional network, a batch for it, and a watcher of rounds."""

import pytest
import torch
from torch import nn


class SmallNet(nn.Module):
    """1040 prunable weights in three tensors: halving it three times leaves whole numbers."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, padding=1, stride=2), nn.BatchNorm2d(8)
        self.fc = nn.Linear(32, 10)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return self.fc(nn.functional.avg_pool2d(x, 2).flatten(1))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return SmallNet()


@pytest.fixture
def batch():
    draw = torch.Generator().manual_seed(1)
    return torch.randn(16, 2, 8, 8, generator=draw), torch.randint(10, (16,), generator=draw)


class Watched:
    """A criterion that notes which weights are zero when it is asked, and scores those highest of all."""

    def __init__(self, criterion):
        self.criterion = criterion
        self.removed = []

    def scores(self, model, weights, data=None, example=None):
        gone = {name: weight == 0 for name, weight in weights.items()}
        self.removed.append(torch.cat([g.reshape(-1) for g in gone.values()]))
        scores = self.criterion.scores(model, weights, data, example)
        return {name: score.masked_fill(gone[name], 1e6) for name, score in scores.items()}


@pytest.fixture
def watched():
    return Watched
