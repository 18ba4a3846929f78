"""Batch innermost: which strides are so, and copies that are."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import integers

from thresher.ops import batch_innermost, is_batch_innermost

SHAPES = [(1, 1), (7, 5), (16, 16), (33, 130), (0, 4), (4, 0), (129, 3, 2, 5), (1, 3, 4, 4), (6, 1, 2, 1), (40, 2, 17)]


def lies_innermost(x):
    """Whether walking the places of `x` with examples fastest walks its memory; nothing of torch's own answer."""
    step = 1
    for size, stride in [(x.shape[0], x.stride(0)), *reversed(list(zip(x.shape[1:], x.stride()[1:], strict=True)))]:
        if size != 1 and stride != step:
            return x.numel() == 0
        step *= size
    return True


@st.composite
def strided(draw):
    """A tensor of drawn shape whose dimensions lie in a drawn order, with gaps or expanded, or neither."""
    shape = draw(st.lists(integers(0, 4), min_size=2, max_size=4))
    order = draw(st.permutations(range(len(shape))))
    gaps = draw(st.sampled_from([1, 1, 2]))
    memory = torch.randn([shape[i] for i in order] + [gaps])[..., 0]
    x = memory.permute([order.index(i) for i in range(len(shape))])
    if draw(st.booleans()):
        x = x[:1].expand(shape)
    return x


@given(strided())
@settings(max_examples=300)
def test_drawn_strides_are_recognized_and_made(x):
    assert is_batch_innermost(x) == lies_innermost(x)
    y = batch_innermost(x)
    assert lies_innermost(y)
    assert torch.equal(x, y)
    assert (y is x) == lies_innermost(x)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int32, torch.int64])
def test_contiguous_input_is_transposed_bit_for_bit(engine, shape, dtype):
    x = torch.arange(math.prod(shape)).view(shape).to(dtype)
    y = batch_innermost(x)
    assert lies_innermost(y)
    assert torch.equal(x, y)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.bfloat16, torch.float16, torch.complex128])
def test_numbers_of_other_widths_are_copied_as_they_are(dtype):
    x = torch.arange(64 * 33).remainder(7).view(64, 33).to(dtype)
    for _ in range(20):  # what is written past the end is found by the allocator, sooner or later
        y = batch_innermost(x)
        assert lies_innermost(y)
        assert torch.equal(x, y)


def test_nan_payloads_infinities_and_signed_zeros_are_kept():
    bits = torch.tensor([0x7FC00001, 0x7F800000, -0x80000000, 0x00000001, -0x00800000, 5], dtype=torch.int32).view(2, 3)
    copied = batch_innermost(bits.view(torch.float32))
    assert torch.equal(copied.contiguous().view(torch.int32), bits)


def test_large_tensors_are_the_same_for_every_number_of_threads():
    x = torch.randn(130, 7, 90)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            assert torch.equal(batch_innermost(x), x)
    finally:
        torch.set_num_threads(before)


def test_gradients_pass_through_the_copy():
    x = torch.randn(3, 2, 4, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(3, 2, 4, dtype=torch.float64)
    (batch_innermost(x) * weights).sum().backward()
    assert torch.equal(x.grad, weights)


def test_elementwise_operations_keep_the_layout():
    x = batch_innermost(torch.randn(6, 4, 3, 3))
    assert all(is_batch_innermost(y) for y in (x.relu(), x + x, x * 2, x.sigmoid(), x.flatten(1)))
