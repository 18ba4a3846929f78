import pytest
import torch
from torch import nn

from thresher.bench.contender import laid_out, swapped
from thresher.core.mask import Mask


@pytest.mark.parametrize(
    ("layout", "strides"),
    [("contiguous", (60, 20, 5, 1)), ("channels-last", (60, 1, 15, 3)), ("batch-innermost", (1, 140, 35, 7))],
)
def test_a_layout_is_other_strides_for_the_same_values(layout, strides):
    inputs = torch.randn(7, 3, 4, 5)
    out = laid_out(inputs, layout)
    assert out.stride() == strides
    assert torch.equal(out, inputs)
    assert out.data_ptr() != inputs.data_ptr()


def test_the_batch_innermost_of_a_copy_that_is_so_already_is_a_copy():
    inputs = torch.randn(5, 7).t()
    assert laid_out(inputs, "batch-innermost").data_ptr() != inputs.data_ptr()


def test_only_masked_layers_are_swapped_and_only_in_a_copy():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5)))
    keep = torch.rand(4, 3) < 0.5
    came = []

    def make(layer, bits):
        came.append((layer, bits))
        return nn.Identity()

    copied = swapped(model, Mask({"2.0.weight": keep}), make)
    assert [type(module) for module in copied[2]] == [nn.Identity, nn.Linear]
    ((layer, bits),) = came
    assert torch.equal(layer.weight, model[2][0].weight)
    assert torch.equal(bits, keep)
    assert type(model[2][0]) is nn.Linear
    assert layer is not model[2][0]
