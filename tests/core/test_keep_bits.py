import pytest
import torch

from thresher.core.keep_bits import KeepBits

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8]
KEEP = torch.rand(7, 5, generator=torch.Generator().manual_seed(0)) < 0.5


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_zeroing_equals_masked_fill(dtype):
    tensor = (torch.randn(7, 5, generator=torch.Generator().manual_seed(1)) * 50).to(dtype)
    expected = tensor.masked_fill(~KEEP, 0)
    KeepBits(KEEP).zero_removed_(tensor)
    assert torch.equal(tensor, expected)


@pytest.mark.parametrize("dtype", DTYPES[:4], ids=str)
def test_what_is_not_finite_becomes_plain_zero(dtype):
    tensor = torch.tensor([float("inf"), float("-inf"), float("nan"), 3.0], dtype=dtype)
    KeepBits(torch.tensor([False, False, False, True])).zero_removed_(tensor)
    assert tensor.tolist() == [0, 0, 0, 3]


def test_kept_values_are_not_changed_by_a_bit():
    tensor = torch.tensor([float("nan"), float("-inf"), -0.0, 5e-324], dtype=torch.float64)
    before = tensor.view(torch.int64).clone()
    KeepBits(torch.ones(4, dtype=torch.bool)).zero_removed_(tensor)
    assert torch.equal(tensor.view(torch.int64), before)


@pytest.mark.parametrize("make", [lambda t: t.t().contiguous().t(), lambda t: t.repeat(2, 2)[::2, :5], torch.clone])
def test_any_strides(make):
    tensor = make(torch.arange(35.0).reshape(7, 5) + 1)
    expected = tensor.masked_fill(~KEEP, 0)
    KeepBits(KEEP).zero_removed_(tensor)
    assert torch.equal(tensor, expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_restoring_equals_where(dtype):
    draws = torch.Generator().manual_seed(2)
    tensor, values = ((torch.randn(7, 5, generator=draws) * 50).to(dtype) for _ in range(2))
    expected = torch.where(KEEP, tensor, values)
    KeepBits(KEEP).restore_removed_(tensor, values)
    assert torch.equal(tensor, expected)


def test_a_parameter_keeps_its_identity_and_its_graph():
    parameter = torch.nn.Parameter(torch.ones(7, 5))
    KeepBits(KEEP).zero_removed_(parameter)
    assert parameter.requires_grad
    assert parameter.grad_fn is None
    assert torch.equal(parameter.detach(), KEEP.float())


def test_an_empty_and_a_scalar_tensor():
    KeepBits(torch.ones(0, 3, dtype=torch.bool)).zero_removed_(torch.ones(0, 3))
    one = torch.tensor(2.0)
    KeepBits(torch.tensor(False)).zero_removed_(one)
    assert one == 0
