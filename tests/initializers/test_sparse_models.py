"""A sparse layer holds no weights to draw where nothing is kept: every initializer says so, and what to do."""

import pytest
import torch
from torch import nn

from thresher.core import Mask
from thresher.core.errors import ArgumentError
from thresher.initializers import INITIALIZERS
from thresher.layers import densify, sparsify


class Residual(nn.Module):
    """Something that each initializer, Fixup among them, can draw."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.last(x + self.second(torch.relu(self.first(x))))


def sparse(*names):
    keep = torch.tensor([[True, False, True, False]] * 4)
    return sparsify(
        Residual(), Mask({f"{name}.weight": keep[: 2 if name == "last" else 4] for name in names}), "always"
    )


@pytest.mark.parametrize("name", INITIALIZERS)
@pytest.mark.parametrize("layers", [("first", "second", "last"), ("second",)])
def test_sparse_layers_are_named_and_nothing_is_drawn(name, layers):
    model = sparse(*layers)
    before = [p.detach().clone() for p in model.parameters()]
    said = rf"{', '.join(layers)} store kept weights only: initialize th\.densify\(model\), then th\.sparsify that"
    with pytest.raises(ArgumentError, match=said):
        INITIALIZERS[name].initialize_(model, torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    rows = INITIALIZERS[name].initialize_(densify(model), torch.Generator().manual_seed(0))
    assert [row.name for row in rows] == ["first.weight", "second.weight", "last.weight"]


def test_a_layer_that_is_the_whole_model_is_named_too():
    model = sparse("first").first
    with pytest.raises(ArgumentError, match="and the model store"):
        INITIALIZERS["he"].initialize_(model, torch.Generator().manual_seed(0))
