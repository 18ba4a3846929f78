"""Normalization and pooling on batch-innermost input against torch's own on contiguous input."""

import copy

import pytest
import torch
from torch import nn

from thresher.layers import INNERMOST
from thresher.ops import batch_innermost, is_batch_innermost

POOLS = [
    (nn.MaxPool2d(2), (5, 3, 6, 8)),
    (nn.MaxPool2d((3, 2), stride=(2, 1), padding=1, dilation=(1, 2), ceil_mode=True), (5, 3, 7, 8)),
    (nn.AvgPool2d(3, 2, padding=1, count_include_pad=False), (5, 3, 7, 8)),
    (nn.AdaptiveAvgPool2d((2, 3)), (5, 4, 7, 8)),
    (nn.AdaptiveAvgPool2d(1), (5, 4, 7, 8)),
    (nn.AdaptiveMaxPool2d((3, 2)), (5, 4, 7, 8)),
]
NORMS = [
    (nn.BatchNorm1d(3), (6, 3)),
    (nn.BatchNorm1d(3, affine=False), (6, 3, 5)),
    (nn.BatchNorm1d(3, momentum=None), (6, 3, 1)),
    (nn.BatchNorm2d(3), (6, 3, 4, 5)),
    (nn.BatchNorm2d(3, track_running_stats=False), (6, 3, 4, 5)),
    (nn.BatchNorm2d(3, momentum=0.3, eps=0.1), (1, 3, 4, 5)),
]
ALL = [pytest.param(layer, shape, id=f"{layer} {shape}") for layer, shape in POOLS + NORMS]


def swapped(layer):
    twin = copy.deepcopy(layer)
    twin.__class__ = INNERMOST[type(layer)]
    return twin


def outcome(layer, x):
    """Output, gradients of input and parameters, and what the layer remembers."""
    x = x.detach().requires_grad_()
    y = layer(x)
    y.backward(torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=y.dtype))
    return [y.detach(), x.grad, *(p.grad for p in layer.parameters()), *(b.clone() for b in layer.buffers())]


@pytest.mark.parametrize(("layer", "shape"), ALL)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("lay", [batch_innermost, lambda x: x], ids=["innermost", "contiguous"])
def test_it_is_torchs_layer_on_any_layout(layer, shape, training, lay):
    torch.manual_seed(0)
    layer = copy.deepcopy(layer).double().train(training)
    for buffer in layer.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 2)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter)
    x = torch.randn(shape, dtype=torch.float64)
    twin = swapped(layer)
    for expected, found in zip(outcome(layer, x), outcome(twin, lay(x)), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("layer", "shape"), ALL)
def test_batch_innermost_input_gives_batch_innermost_output_and_gradient(layer, shape):
    leaf, seen = batch_innermost(torch.randn(shape)).requires_grad_(), []
    x = leaf * 2
    x.register_hook(lambda gradient: seen.append(is_batch_innermost(gradient)))  # a leaf's would be laid out anew
    y = swapped(layer)(x)
    assert is_batch_innermost(y)
    y.backward(torch.ones_like(y))
    assert seen == [True]


@pytest.mark.parametrize("layer", [nn.MaxPool2d(2, return_indices=True), nn.AdaptiveMaxPool2d(2, return_indices=True)])
def test_indices_are_torchs(layer):
    x = torch.randn(5, 3, 4, 6)
    for expected, found in zip(layer(x), swapped(layer)(batch_innermost(x)), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("layer", [layer for layer, _ in POOLS], ids=str)
def test_one_image_without_a_batch(layer):
    x = torch.randn(3, 7, 8)
    assert torch.equal(swapped(layer)(x), layer(x))


def test_the_keys_and_torchs_complaints_stay():
    twin = swapped(nn.BatchNorm2d(3))
    assert twin.state_dict().keys() == nn.BatchNorm2d(3).state_dict().keys()
    with pytest.raises(ValueError, match="expected 4D input"):
        twin(torch.randn(2, 3))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        twin(torch.randn(1, 3, 1, 1))
