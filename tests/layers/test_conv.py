"""SparseConv1d and SparseConv2d against torch's convolutions with zeros, differentiated by autograd."""

import pytest
import torch
from torch import nn

from thresher.core.errors import ArgumentError
from thresher.layers import SparseConv1d, SparseConv2d

SPARSE = {nn.Conv1d: SparseConv1d, nn.Conv2d: SparseConv2d}
# torch says so of its own dense layer
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


def assert_same(dense, x, kept=0.4):
    """Outputs and the gradients of input, kept weights and bias agree, and the layer comes back."""
    dense = dense.double()
    keep = torch.rand(dense.weight.shape, generator=torch.Generator().manual_seed(3)) < kept
    sparse = SPARSE[type(dense)].from_dense(dense, keep)
    with torch.no_grad():
        dense.weight[~keep] = 0
    for layer in (sparse, sparse.to_dense()):
        mine, theirs = x.detach().requires_grad_(), x.detach().requires_grad_()
        expected, found = dense(theirs), layer(mine)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
        weights = torch.randn(expected.shape, dtype=expected.dtype, generator=torch.Generator().manual_seed(7))
        dense.zero_grad()
        (expected * weights).sum().backward()
        (found * weights).sum().backward()
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=0, atol=1e-12)
        gradient = layer.weight.grad if layer is sparse else layer.weight.grad[keep]
        torch.testing.assert_close(gradient, dense.weight.grad[keep], rtol=0, atol=1e-12)
        if dense.bias is not None:
            torch.testing.assert_close(layer.bias.grad, dense.bias.grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"stride": 2},
        {"stride": (1, 3), "padding": (2, 0)},
        {"dilation": (2, 1), "padding": 1},
        {"groups": 2, "bias": False},
        {"kernel_size": 1, "stride": 2},
        {"kernel_size": (3, 1), "padding": "valid"},
        {"padding": "same"},
        {"kernel_size": (2, 4), "padding": "same", "dilation": (1, 2)},
        {"kernel_size": (4, 3), "padding": "same", "dilation": 3},
    ],
    ids=str,
)
def test_two_dimensions(settings):
    x = torch.randn(7, 4, 7, 9, dtype=torch.float64)
    assert_same(nn.Conv2d(4, 6, **{"kernel_size": 3, **settings}), x)


@pytest.mark.parametrize(
    "settings",
    [{}, {"stride": 2, "padding": 1}, {"groups": 2, "dilation": 2}, {"kernel_size": 4, "padding": "same"}],
    ids=str,
)
def test_one_dimension(settings):
    assert_same(nn.Conv1d(4, 6, **{"kernel_size": 3, **settings}), torch.randn(5, 4, 11, dtype=torch.float64))


@pytest.mark.parametrize("kept", [0.0, 1.0])
def test_everything_removed_and_everything_kept(kept):
    assert_same(nn.Conv2d(3, 2, 3), torch.randn(1, 3, 5, 5, dtype=torch.float64), kept)


@pytest.mark.parametrize(
    ("dense", "shape"), [(nn.Conv2d(3, 2, 3, padding=1), (3, 5, 6)), (nn.Conv1d(3, 2, 3), (3, 8))], ids=["2d", "1d"]
)
def test_one_image_without_a_batch(dense, shape):
    assert_same(dense, torch.randn(shape, dtype=torch.float64))


@pytest.mark.parametrize(
    "lay",
    [
        lambda x: x.to(memory_format=torch.channels_last),
        lambda x: x.movedim(0, -1).contiguous().movedim(-1, 0),
        lambda x: x[:, :, ::2, 1:],
        lambda x: x[:1].expand(4, *x.shape[1:]),
    ],
    ids=["channels last", "batch innermost", "cut out", "expanded"],
)
def test_inputs_of_any_strides(lay):
    assert_same(nn.Conv2d(3, 4, 3, padding=1), lay(torch.randn(4, 3, 8, 8, dtype=torch.float64)))


@pytest.mark.parametrize(
    ("dense", "shape"), [(nn.Conv2d(3, 4, 3), (5, 3, 6, 6)), (nn.Conv1d(3, 4, 3), (5, 3, 6))], ids=["2d", "1d"]
)
def test_the_output_may_be_written_into_as_an_inplace_relu_does(dense, shape):
    keep = torch.rand(dense.weight.shape) < 0.5
    sparse = SPARSE[type(dense)].from_dense(dense, keep)
    with torch.no_grad():
        dense.weight[~keep] = 0
    x = torch.randn(shape)
    for layer in (dense, sparse):
        torch.relu_(layer(x)).square().sum().backward()
    torch.testing.assert_close(sparse.weight.grad, dense.weight.grad[keep])


def test_repr_tells_the_geometry():
    dense = nn.Conv2d(4, 2, (3, 1), stride=2, padding=(1, 0), dilation=(2, 1), groups=2, bias=False)
    sparse = SparseConv2d.from_dense(dense, torch.zeros_like(dense.weight, dtype=torch.bool))
    assert repr(sparse) == (
        "SparseConv2d(4, 2, kernel_size=(3, 1), stride=(2, 2), padding=(1, 0), dilation=(2, 1), groups=2, bias=False, "
        "kept=0, sparsity=1)"
    )


@pytest.mark.parametrize("mode", ["reflect", "circular", "replicate"])
def test_other_padding_than_zeros_is_refused(mode):
    dense = nn.Conv2d(1, 1, 3, padding=1, padding_mode=mode)
    assert not SparseConv2d.supports(dense)
    with pytest.raises(ArgumentError, match=f"pads with zeros: leave a layer with '{mode}' dense"):
        SparseConv2d.from_dense(dense, torch.ones(1, 1, 3, 3, dtype=torch.bool))


def test_the_other_convolution_is_refused():
    with pytest.raises(ArgumentError, match=r"SparseConv1d is made from an nn\.Conv1d: got Conv2d"):
        SparseConv1d.from_dense(nn.Conv2d(1, 1, 1), torch.ones(1, 1, 1, 1, dtype=torch.bool))
