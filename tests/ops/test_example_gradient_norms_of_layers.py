"""Gradient norms of single examples through sparsified models against torch.func.vmap of the masked dense ones."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad, vmap

from thresher.core import Mask, prunable
from thresher.core.errors import ArgumentError
from thresher.layers import SparseLayer, sparsify
from thresher.ops import example_gradient_norms

LOSS = partial(F.cross_entropy, reduction="none")


def sparse_and_masked(model):
    """(the sparse form of `model`, its masks); the model's own weights are masked too."""
    draw = torch.Generator().manual_seed(0)
    masks = {name: torch.rand(p.shape, generator=draw) < 0.4 for name, p in prunable(model).items()}
    with torch.no_grad():
        for name, keep in masks.items():
            model.get_parameter(name).mul_(keep)
    return sparsify(model, Mask(masks), "always"), masks


def by_vmap(model, masks, x, y):
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    buffers = dict(model.named_buffers())

    def of_one(parameters, x, y):
        return LOSS(functional_call(model, (parameters, buffers), (x[None],)), y[None])[0]

    gradients = vmap(grad(of_one), in_dims=(None, 0, 0))(parameters, x, y)
    return sum((g * masks.get(name, 1)).flatten(1).square().sum(1) for name, g in gradients.items()).sqrt()


IMAGES = nn.Sequential(
    nn.Conv2d(2, 6, (4, 3), padding="same", bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.MaxPool2d(2),
    nn.Conv2d(6, 4, (2, 3), stride=2, padding=1, dilation=(1, 2), groups=2), nn.Flatten(), nn.Linear(24, 8), nn.ReLU(),
    nn.Linear(8, 5),
)  # fmt: skip
SERIES = nn.Sequential(
    nn.Conv1d(3, 6, 3, padding="same", dilation=2), nn.Tanh(), nn.Conv1d(6, 7, 3, stride=2, bias=False),
    nn.Linear(4, 6), nn.Tanh(), nn.Flatten(), nn.Linear(42, 5),
)  # fmt: skip


@pytest.mark.parametrize(("model", "shape"), [(IMAGES, (2, 10, 11)), (SERIES, (3, 10))], ids=["2-D", "1-D"])
@pytest.mark.parametrize("n", [1, 17])
@pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel lengths")
def test_whole_models(model, shape, n):
    model = model.double().eval()
    sparse, masks = sparse_and_masked(model)
    assert sum(isinstance(layer, SparseLayer) for layer in sparse.modules()) == len(masks) == 4
    x, y = torch.randn(n, *shape, dtype=torch.float64), torch.randint(5, (n,))
    torch.testing.assert_close(
        example_gradient_norms(sparse, LOSS, x, y), by_vmap(model, masks, x, y), rtol=1e-10, atol=1e-12
    )


def test_frozen_parameters_have_no_share():
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    sparse, _ = sparse_and_masked(model)
    x, y = torch.randn(7, 4, dtype=torch.float64), torch.randint(3, (7,))
    whole = example_gradient_norms(sparse, LOSS, x, y)
    parts = []
    for name in dict(sparse.named_parameters()):
        for other, parameter in sparse.named_parameters():
            parameter.requires_grad_(other == name)
        parts.append(example_gradient_norms(sparse, LOSS, x, y).square())
    torch.testing.assert_close(torch.stack(parts).sum(0).sqrt(), whole)
    assert all(bool((part > 0).any()) for part in parts)


def test_recurrent_layers_are_refused():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(3, 5, batch_first=True)

        def forward(self, x):
            return self.lstm(x)[0][:, -1]

    sparse, _ = sparse_and_masked(Last())
    with pytest.raises(ArgumentError, match="lstm is a SparseLSTM"):
        example_gradient_norms(sparse, LOSS, torch.randn(4, 6, 3), torch.randint(5, (4,)))
