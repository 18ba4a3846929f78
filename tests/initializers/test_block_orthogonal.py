import math

import pytest
import torch
from torch import nn

from thresher.core.errors import ArgumentError
from thresher.initializers import BlockOrthogonal, Initialized


def drawn(model, gain=1.0, seed=0):
    rows = BlockOrthogonal(gain).initialize_(model, torch.Generator().manual_seed(seed))
    return model, rows


def spectrum(weight, size):
    dims = tuple(range(2, weight.dim()))
    kernels = torch.fft.fftn(weight.detach().double(), (size,) * len(dims), dims)
    return torch.linalg.svdvals(kernels.flatten(2).permute(2, 0, 1))


@pytest.mark.parametrize(("c_in", "c_out"), [(6, 6), (3, 7), (7, 3), (1, 2)])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5, (3, 5), (1, 4)])
def test_the_operator_has_all_singular_values_at_the_gain(c_in, c_out, kernel):
    net, _ = drawn(nn.Conv2d(c_in, c_out, kernel).double(), 0.7)
    values = spectrum(net.weight, 8)
    assert values.shape == (64, min(c_in, c_out))
    assert torch.allclose(values, torch.full_like(values, 0.7), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("dim", "layer"), [(1, nn.Conv1d), (2, nn.Conv2d), (3, nn.Conv3d)])
@pytest.mark.parametrize("groups", [1, 2])
def test_norms_are_preserved_under_circular_padding(dim, layer, groups):
    net, (row,) = drawn(layer(4, 6, 3, padding=1, padding_mode="circular", groups=groups).double())
    assert row.shortfall == ""
    images = torch.randn(5, 4, *(6,) * dim, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(net(images).flatten(1).norm(dim=1), images.flatten(1).norm(dim=1), rtol=0, atol=1e-12)


def test_a_transposed_convolution_keeps_norms_inside():
    net, _ = drawn(nn.ConvTranspose2d(3, 5, 3, bias=False).double())  # without padding nothing is cut off
    images = torch.randn(2, 3, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(net(images).flatten(1).norm(dim=1), images.flatten(1).norm(dim=1), rtol=0, atol=1e-12)


def test_every_tap_carries_weight():
    net, _ = drawn(nn.Conv2d(16, 16, 3))
    assert (net.weight.detach().norm(dim=(0, 1)) > 0.1).all()


def test_directions_fall_on_either_tap_alike():
    # (P, I - P): the squared norm of each of the two taps of a 1-D kernel is the number of its directions
    norms = torch.stack(
        [drawn(nn.Conv1d(10, 10, 2).double(), seed=s)[0].weight.detach().square().sum((0, 1)) for s in range(200)]
    )
    assert torch.allclose(norms.sum(1), torch.full((200,), 10.0, dtype=torch.float64))
    assert torch.allclose(norms, norms.round(), atol=1e-9)
    assert norms[:, 0].mean().item() == pytest.approx(5.0, abs=5 * math.sqrt(2.5 / 200))
    assert norms[:, 0].var().item() == pytest.approx(2.5, rel=0.5)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (lambda: nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular"), ""),
        (lambda: nn.Conv2d(3, 4, 1), ""),
        (lambda: nn.Conv2d(3, 3, 3, padding=1), "zeros padding 2×2: exact inside, not at the border"),
        (lambda: nn.Conv2d(3, 3, 3, padding="same"), "zeros padding 2×2: exact inside, not at the border"),
        (lambda: nn.Conv2d(3, 3, 3), "zeros padding 0×0: exact inside, not at the border"),
        (lambda: nn.Conv2d(4, 3, 1, stride=2), "4 channels into 3: some directions are lost; stride 2 skips pixels"),
    ],
)
def test_the_row_says_what_is_missing(layer, said):
    _, (row,) = drawn(layer())
    assert row == Initialized("weight", "block-orthogonal, gain 1", said)


def test_other_layers_are_plain_orthogonal():
    net, rows = drawn(nn.Sequential(nn.LSTM(5, 4)), "relu")
    for gate in net[0].weight_ih_l0.detach().chunk(4):
        values = torch.linalg.svdvals(gate)
        assert torch.allclose(values, torch.full((4,), math.sqrt(2)))
    assert rows[0].done == "orthogonal, gain 1.414, each of 4 maps"


def test_a_gain_is_positive():
    with pytest.raises(ArgumentError, match="gain multiplies"):
        BlockOrthogonal(0.0)
