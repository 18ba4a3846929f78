import math
import re

import pytest
import torch
from torch import nn

from thresher.core.errors import ArgumentError
from thresher.initializers import DeltaOrthogonal, Initialized


def drawn(model, gain=1.0, seed=0):
    rows = DeltaOrthogonal(gain).initialize_(model, torch.Generator().manual_seed(seed))
    return model, rows


def spectrum(weight, size):
    """Singular values of the circular convolution on images of `size`, by frequency: those of the whole operator."""
    dims = tuple(range(2, weight.dim()))
    kernels = torch.fft.fftn(weight.detach().double(), (size,) * len(dims), dims)
    return torch.linalg.svdvals(kernels.flatten(2).permute(2, 0, 1))


@pytest.mark.parametrize(("c_in", "c_out"), [(4, 4), (3, 7)])
@pytest.mark.parametrize("kernel", [1, 3, 5, (3, 5)])
def test_the_operator_has_all_singular_values_at_the_gain(c_in, c_out, kernel):
    net, (row,) = drawn(nn.Conv2d(c_in, c_out, kernel, padding="same").double(), 1.3)
    assert row == Initialized("weight", "delta-orthogonal, gain 1.3")
    values = spectrum(net.weight, 8)
    assert values.shape == (64, c_in)
    assert torch.allclose(values, torch.full_like(values, 1.3), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("dim", "layer"), [(1, nn.Conv1d), (2, nn.Conv2d), (3, nn.Conv3d)])
@pytest.mark.parametrize("mode", ["zeros", "circular"])
@pytest.mark.parametrize("groups", [1, 2])
def test_the_norm_of_every_image_is_preserved(dim, layer, mode, groups):
    net, (row,) = drawn(layer(4, 6, 3, padding=1, padding_mode=mode, groups=groups).double())
    assert row.shortfall == ""
    images = torch.randn(5, 4, *(6,) * dim, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(net(images).flatten(1).norm(dim=1), images.flatten(1).norm(dim=1), rtol=0, atol=1e-12)


# what keeps the norm, or loses it and why; the layer is then asked itself
@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (lambda: nn.Conv2d(3, 3, 3, padding=1), None),
        (lambda: nn.Conv2d(3, 3, 3, padding=2, dilation=2), None),
        (lambda: nn.Conv2d(3, 3, 3, padding=2), None),  # more zeros around change nothing
        (lambda: nn.Conv2d(3, 3, 1), None),
        (lambda: nn.Conv2d(3, 3, 3, padding="same"), None),
        (lambda: nn.Conv2d(3, 3, (1, 3), padding=(0, 1)), None),
        (lambda: nn.Conv2d(6, 6, 3, padding=1, groups=3), None),
        (lambda: nn.Conv2d(4, 3, 3, padding=1), "4 channels into 3: some directions are lost"),
        (lambda: nn.Conv2d(8, 6, 3, padding=1, groups=2), "4 channels into 3"),
        (lambda: nn.Conv2d(3, 3, 3, padding=1, stride=2), "stride 2 skips pixels"),
        (lambda: nn.Conv2d(3, 3, 3), "padding 0 for a kernel of 3: the centre misses pixels at the border"),
        (lambda: nn.Conv2d(3, 3, 3, padding="valid"), "padding 0 for a kernel of 3"),
        (lambda: nn.Conv2d(3, 3, 3, padding=1, dilation=2), "padding 1 for a kernel of 3"),
        (lambda: nn.Conv2d(3, 3, 4, padding=1), "padding 1 for a kernel of 4"),
        (lambda: nn.Conv2d(3, 3, 3, padding=2, padding_mode="circular"), "circular padding 2 .* count twice"),
    ],
)
def test_the_row_says_whether_norms_are_preserved_and_the_layer_agrees(layer, said):
    net, (row,) = drawn(layer().double())
    net.bias = None
    images = torch.randn(3, net.in_channels, 7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    kept = torch.allclose(net(images).flatten(1).norm(dim=1), images.flatten(1).norm(dim=1), rtol=0, atol=1e-12)
    assert kept == (row.shortfall == "") == (said is None)
    if said is not None:
        assert re.search(said, row.shortfall)


def test_a_transposed_convolution_keeps_norms_where_nothing_is_cut_off():
    net, (row,) = drawn(nn.ConvTranspose2d(3, 5, 3, stride=2, bias=False).double())
    images = torch.randn(2, 3, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(net(images).flatten(1).norm(dim=1), images.flatten(1).norm(dim=1), rtol=0, atol=1e-12)
    assert row.shortfall == "a transposed convolution: its borders were not looked at"


def test_several_things_can_be_missing():
    _, (row,) = drawn(nn.Conv2d(4, 3, 3, stride=2))
    assert row.shortfall == (
        "4 channels into 3: some directions are lost; stride 2 skips pixels; "
        "padding 0 for a kernel of 3: the centre misses pixels at the border"
    )


def test_where_channels_are_lost_the_error_signal_still_keeps_its_norm():
    net, _ = drawn(nn.Conv2d(5, 3, 3, padding=1, bias=False).double())
    values = spectrum(net.weight, 6)
    assert torch.allclose(values, torch.ones_like(values), atol=1e-12)


def test_only_the_centre_is_used_and_other_layers_are_plain_orthogonal():
    net, rows = drawn(nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Flatten(), nn.Linear(9, 5)), "relu")
    centre = torch.zeros(3, 3, dtype=torch.bool)
    centre[1, 1] = True
    assert torch.equal(net[0].weight.detach().abs().sum((0, 1)) != 0, centre)
    values = torch.linalg.svdvals(net[2].weight.detach())
    assert torch.allclose(values, torch.full((5,), math.sqrt(2)))
    assert [row.done for row in rows] == ["delta-orthogonal, gain 1.414", "orthogonal, gain 1.414"]
    assert not net[0].bias.any()


def test_a_gain_is_positive():
    with pytest.raises(ArgumentError, match="gain multiplies"):
        DeltaOrthogonal(0.0)
