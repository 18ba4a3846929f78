"""Against where and masked_fill, on every path: an instruction set that this machine has, and torch's operators."""

import os
import subprocess
import sys

import pytest
import torch

from thresher.ops import keep_bits
from thresher.ops.keep_bits import KeepBits
from thresher.ops.native import compiled

NATIVE = compiled()
PATHS = [*(NATIVE.available() if NATIVE is not None else ()), "reference"]
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8]
SIZES = [0, 1, 15, 63, 64, 65, 1000, 1024, 4097]
KEEP = torch.rand(7, 5, generator=torch.Generator().manual_seed(0)) < 0.5


@pytest.fixture(params=PATHS, autouse=True)
def path(request, monkeypatch):
    if request.param == "reference":
        monkeypatch.setattr(keep_bits, "compiled", lambda: None)
        yield
    else:
        before = NATIVE.chosen()
        assert NATIVE.choose(request.param)
        yield
        NATIVE.choose(before)


def numbers(dtype, size, seed):
    return (torch.randn(size, generator=torch.Generator().manual_seed(seed)) * 50).to(dtype)


def kept(size, share=0.5):
    return torch.rand(size, generator=torch.Generator().manual_seed(4)) < share


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_zeroing_equals_masked_fill(dtype, size):
    tensors, keep = [numbers(dtype, size, seed) for seed in range(3)], kept(size)
    expected = [tensor.masked_fill(~keep, 0) for tensor in tensors]
    KeepBits(keep).zero_removed_(*tensors)
    assert all(torch.equal(tensor, other) for tensor, other in zip(tensors, expected, strict=True))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_restoring_and_writing_the_kept_equal_where(dtype, size):
    keep, target, values = kept(size), numbers(dtype, size, 1), numbers(dtype, size, 2)
    before = values.clone()
    bits = KeepBits(keep)
    expected = torch.where(keep, target, values)
    bits.restore_removed_(target, values)
    assert torch.equal(target, expected)
    bits.write_kept_(target, values)
    assert torch.equal(target, torch.where(keep, values, torch.zeros_like(values)))
    assert torch.equal(values, before)


@pytest.mark.parametrize("place", [0, 1, 62, 63, 64, 100, 129])
def test_one_number_that_moved_is_found_wherever_it_is(place):
    keep = torch.ones(130, dtype=torch.bool)
    keep[place] = False
    tensor = torch.zeros(130)
    tensor[place] = 1e-45  # its only bit set is the lowest
    KeepBits(keep).zero_removed_(tensor)
    assert not bool(tensor.any())
    tensor[place] = -0.0
    KeepBits(keep).zero_removed_(tensor)
    assert not bool(tensor.signbit().any())


@pytest.mark.parametrize("dtype", DTYPES[:4], ids=str)
def test_what_is_not_finite_becomes_plain_zero(dtype):
    tensor = torch.tensor([float("inf"), float("-inf"), float("nan"), 3.0], dtype=dtype)
    KeepBits(torch.tensor([False, False, False, True])).zero_removed_(tensor)
    assert tensor.tolist() == [0, 0, 0, 3]


def test_kept_values_are_not_changed_by_a_bit():
    tensor = torch.tensor([float("nan"), float("-inf"), -0.0, 5e-324], dtype=torch.float64)
    before = tensor.view(torch.int64).clone()
    bits = KeepBits(torch.ones(4, dtype=torch.bool))
    bits.zero_removed_(tensor)
    bits.restore_removed_(tensor, torch.ones(4, dtype=torch.float64))
    assert torch.equal(tensor.view(torch.int64), before)


@pytest.mark.parametrize("make", [lambda t: t.t().contiguous().t(), lambda t: t.repeat(2, 2)[::2, :5], torch.clone])
def test_any_strides(make):
    tensor = make(torch.arange(35.0).reshape(7, 5) + 1)
    values = torch.arange(35.0).reshape(7, 5) - 50
    expected = tensor.masked_fill(~KEEP, 0)
    bits = KeepBits(KEEP)
    bits.zero_removed_(tensor)
    assert torch.equal(tensor, expected)
    bits.restore_removed_(tensor, values)
    assert torch.equal(tensor, torch.where(KEEP, expected, values))
    bits.write_kept_(tensor, values)
    assert torch.equal(tensor, values * KEEP)


def test_nothing_beside_the_tensor_is_touched():
    memory = torch.ones(200)
    KeepBits(torch.zeros(70, dtype=torch.bool)).zero_removed_(memory[50:120])
    assert torch.equal(memory.nonzero().flatten(), torch.cat([torch.arange(50), torch.arange(120, 200)]))


def test_tensors_of_several_widths():
    tensors = [torch.ones(7, 5), torch.ones(7, 5, dtype=torch.float64), torch.ones(7, 5, dtype=torch.float16)]
    KeepBits(KEEP).zero_removed_(*tensors)
    assert all(torch.equal(tensor, KEEP.to(tensor.dtype)) for tensor in tensors)
    KeepBits(KEEP).zero_removed_()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_large_tensor_is_divided_among_threads(threads):
    size = (1 << 17) + 77
    keep, target, values = kept(size, 0.1), numbers(torch.float32, size, 1), numbers(torch.float32, size, 2)
    bits, expected = KeepBits(keep), torch.where(keep, target, values)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        bits.restore_removed_(target, values)
        assert torch.equal(target, expected)
        bits.zero_removed_(target, values)
        assert torch.equal(target, expected.masked_fill(~keep, 0))
        bits.write_kept_(target, expected)
        assert torch.equal(target, expected.masked_fill(~keep, 0))
    finally:
        torch.set_num_threads(before)


def test_a_parameter_keeps_its_identity_and_its_graph():
    parameter = torch.nn.Parameter(torch.ones(7, 5))
    KeepBits(KEEP).zero_removed_(parameter)
    assert parameter.requires_grad
    assert parameter.grad_fn is None
    assert torch.equal(parameter.detach(), KEEP.float())


@pytest.mark.parametrize("write", ["zero_removed_", "restore_removed_", "write_kept_"])
def test_a_backward_that_needs_the_old_values_is_refused_as_after_any_write_in_place(write):
    weight = torch.ones(7, 5, requires_grad=True)
    x = torch.ones(7, 5, requires_grad=True)
    loss = (weight * x).sum()
    getattr(KeepBits(KEEP), write)(*([weight] if write == "zero_removed_" else [weight, torch.zeros(7, 5)]))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_scalar_tensor():
    one = torch.tensor(2.0)
    KeepBits(torch.tensor(False)).zero_removed_(one)
    assert one == 0


@pytest.mark.parametrize("path", ["reference"], indirect=True)
def test_without_kernels_nothing_is_said():
    code = (
        "import sys; sys.modules['thresher._kernels'] = None\n"
        "import torch; from thresher.ops.keep_bits import KeepBits\n"
        "x = torch.ones(2); KeepBits(torch.tensor([True, False])).zero_removed_(x); assert x.tolist() == [1, 0]\n"
        "from thresher.ops.native import kernels, compiled; assert compiled() is None\n"
        "import pytest; pytest.warns(RuntimeWarning, kernels)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "THRESHER_INSTRUCTION_SET"}
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env=environment)
