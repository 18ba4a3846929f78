"""A bench so small that a race takes a moment."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from thresher.bench import cases, suite
from thresher.bench.cases import Case


def _layer():
    torch.manual_seed(0)
    return nn.Sequential(OrderedDict(layer=nn.Linear(40, 50)))


def _network():
    torch.manual_seed(0)
    return nn.Sequential(OrderedDict(fc1=nn.Linear(20, 16), relu=nn.ReLU(), fc2=nn.Linear(16, 10)))


@pytest.fixture
def small(monkeypatch):
    """Two cases more, "small-layer" (40 → 50) and "small-network" (20 → 16 → 10), and a peak of 1e9."""
    monkeypatch.setitem(cases.CASES, "small-layer", Case("layer", _layer, (40,)))
    monkeypatch.setitem(cases.CASES, "small-network", Case("network", _network, (20,)))
    monkeypatch.setattr(suite, "multiply_add_peak", lambda: 1e9)
