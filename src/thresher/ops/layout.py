"""Batch innermost: the memory layout the kernels work on."""

import torch
from torch import Tensor

from thresher.ops.native import is_plain, kernels


def is_batch_innermost(x: Tensor) -> bool:
    """Whether examples of `x` [N, …] lie side by side in memory, the other dimensions in order around them."""
    if x.dim() == 2:  # by far the most frequent question
        if x.shape[0] == 1:  # a single example lies both ways
            return x.is_contiguous()
        return x.stride() == (1, x.shape[0]) or x.movedim(0, -1).is_contiguous()
    return x.movedim(0, -1).is_contiguous()


def batch_innermost(x: Tensor) -> Tensor:
    """`x` [N, …] itself if its batch dimension is innermost, else a copy of the same values that is so.

    Shape and values are those of `x`; element-wise operations keep the strides, so that a chain of sparse layers
    copies its first input only. Differentiable. Cost of a copy: one pass over the memory.

    >>> batch_innermost(torch.zeros(8, 3, 5)).stride()
    (1, 40, 8)
    """
    if is_batch_innermost(x):
        return x
    if x.requires_grad or not is_plain(x):
        return x.movedim(0, -1).contiguous().movedim(-1, 0)
    result = empty_batch_innermost(x.shape, x)
    native = kernels() if x.is_contiguous() and x.is_cpu and x.dtype in (torch.float32, torch.float64) else None
    if native is None:
        return result.copy_(x)
    rows = x.shape[0]
    native.transpose(
        x.element_size(), torch.get_num_threads(), rows, x.numel() // max(rows, 1), x.data_ptr(), result.data_ptr()
    )
    return result


def empty_batch_innermost(shape: tuple[int, ...] | torch.Size, like: Tensor) -> Tensor:
    """An uninitialised [N, …] tensor, batch innermost, of the dtype and device of `like`; no view of another."""
    strides, step = [1], max(shape[0], 1)
    for size in reversed(shape[1:]):
        strides.insert(1, step)
        step *= max(size, 1)
    return like.new_empty_strided(shape, strides)
