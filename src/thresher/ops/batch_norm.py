"""Batch normalization of a batch that lies innermost."""

from typing import Any

import torch
from torch import Tensor

from thresher.ops.layout import batch_innermost, empty_batch_innermost
from thresher.ops.native import kernels


def batch_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """(y, mean, variance): `x` [N, C, …] normalized per channel by its own statistics, scaled and shifted.

    `x` is float32 or float64 on the CPU and lies batch innermost; so does y. mean and variance [C] are those of the
    batch, the variance divided by N·…, not by one less; they are not differentiable. Sums are taken in float64 over
    short runs, in an order that does not depend on the number of threads.
    Source: Ioffe & Szegedy 2015, algorithm 1. Cost: one reading of x from memory and one from the cache; backward
    likewise. Where the kernels are not built, torch's own does it on the same memory.

    >>> y, mean, variance = batch_norm(torch.tensor([[1.0], [3.0]]), None, None, 0.0)
    >>> y.tolist(), mean.tolist(), variance.tolist()
    ([[-1.0], [1.0]], [2.0], [1.0])
    """
    if kernels() is None:
        return _in_torch(x, weight, bias, epsilon)
    result: tuple[Tensor, Tensor, Tensor] = _BatchNorm.apply(x, weight, bias, epsilon)  # type: ignore[no-untyped-call]
    return result


def _in_torch(x: Tensor, weight: Tensor | None, bias: Tensor | None, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    folded = x.movedim(0, -1).reshape(1, x.shape[1], -1)
    y = torch.nn.functional.batch_norm(folded, None, None, weight, bias, True, 0.0, epsilon)
    variance, mean = torch.var_mean(folded.detach(), (0, 2), correction=0)
    return y.view(*x.shape[1:], x.shape[0]).movedim(-1, 0), mean, variance


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, epsilon: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        native = kernels()
        assert native is not None
        mean, variance = x.new_empty(x.shape[1]), x.new_empty(x.shape[1])
        y = empty_batch_innermost(x.shape, x)
        native.batch_norm(
            x.element_size(), torch.get_num_threads(), x.shape[1], x.numel() // x.shape[1], epsilon, x.data_ptr(),
            0 if weight is None else weight.data_ptr(), 0 if bias is None else bias.data_ptr(),
            mean.data_ptr(), variance.data_ptr(), y.data_ptr(),
        )  # fmt: skip
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.epsilon = epsilon
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance = ctx.saved_tensors
        native = kernels()
        assert native is not None
        gradient = batch_innermost(gradient)
        by_x, by_weight, by_bias = empty_batch_innermost(x.shape, x), torch.empty_like(mean), torch.empty_like(mean)
        native.batch_norm_backward(
            x.element_size(), torch.get_num_threads(), x.shape[1], x.numel() // x.shape[1], ctx.epsilon,
            gradient.data_ptr(), x.data_ptr(), 0 if weight is None else weight.data_ptr(), mean.data_ptr(),
            variance.data_ptr(), by_x.data_ptr(), by_weight.data_ptr(), by_bias.data_ptr(),
        )  # fmt: skip
        return by_x, by_weight if weight is not None else None, by_bias if ctx.needs_input_grad[2] else None, None
