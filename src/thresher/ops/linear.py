"""A sparse linear layer: x·Sᵀ + b."""

from typing import Any

import torch
from torch import Tensor

from thresher.core.errors import ArgumentError
from thresher.ops.checks import accepted, check_weights
from thresher.ops.layout import batch_innermost, empty_batch_innermost
from thresher.ops.matmul import sddmm, sddmm_reference, spmm_reference, spmm_transposed
from thresher.ops.native import is_plain, kernels
from thresher.ops.topology import Topology


def linear(x: Tensor, values: Tensor, bias: Tensor | None, topology: Topology) -> Tensor:
    """x·Sᵀ + bias, [N, out], of `x` [N, in], where S is out × in and keeps the entries of `topology`.

    x: of any strides, and with any leading dimensions. values: [kept]. bias: [out] or none. The result lies batch
    innermost in memory (see `batch_innermost`), which is what the next sparse layer reads without a copy.
    Removed connections take no part: an infinity they would meet does not become NaN.
    Differentiable; a second time too, at the price of unfused products. Under ``torch.autocast`` the input is cast
    to the values' dtype. Results do not depend on the number of threads (``torch.get_num_threads()``).
    Cost: kept · N multiply-adds; backward reads every gradient once for both products, twice that.
    Raises ArgumentError for shapes that do not fit, mixed dtypes, and off the CPU.

    >>> topology = Topology.of(torch.tensor([[True, False], [True, True]]))
    >>> linear(torch.tensor([[1.0, 10.0]]), torch.tensor([1.0, 2.0, 3.0]), None, topology).tolist()
    [[1.0, 32.0]]
    """
    x = accepted("linear", x, values)
    if x.dim() < 1 or x.shape[-1] != topology.num_columns:
        raise ArgumentError(f"linear: the input is [..., {topology.num_columns}], got {list(x.shape)}")
    check_weights("linear", values, bias, topology)
    many = x.dim() > 2
    if many:  # the batch innermost, whatever comes between it and the features
        x = x.movedim(0, -2)
    leading = x.shape[:-1]
    if x.dim() != 2:
        x = x.reshape(leading.numel(), x.shape[-1])
    x = batch_innermost(x)
    result: Tensor
    if not (is_plain(x) and is_plain(values)):
        result = _linear(x, values, bias, *topology)
    elif torch.is_inference_mode_enabled():  # nothing to record, which would take longer than a small layer
        result = _forward(x, values, bias, *topology[:2])
    else:
        result = _Linear.apply(x, values, bias, *topology)  # type: ignore[no-untyped-call]
    if len(leading) == 1:
        return result
    result = result.unflatten(0, leading) if leading else result[0]  # type: ignore[no-untyped-call]
    return result.movedim(-2, 0) if many else result


class _Linear(torch.autograd.Function):
    """The registered operator without the dispatcher's 16 µs, which a small layer would feel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor, bias: Tensor | None, *topology: Tensor) -> Tensor:
        ctx.save_for_backward(x, values, *topology)
        return _forward(x, values, bias, *topology[:2])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, values, *topology = ctx.saved_tensors
        needs = ctx.needs_input_grad
        if torch.is_grad_enabled():  # someone will differentiate this again
            return *_differentiable_backward(gradient, x, values, Topology(*topology), needs), *[None] * 5
        found = _backward(gradient, x, values, *topology, *needs[:3])
        return *(g if need else None for g, need in zip(found, needs, strict=False)), *[None] * 5


def _forward(x: Tensor, values: Tensor, bias: Tensor | None, row_pointers: Tensor, columns: Tensor) -> Tensor:
    native = kernels()
    if native is None:
        result = spmm_reference(values, x.t(), row_pointers, columns).t()
        return result if bias is None else result + bias
    num_rows = row_pointers.numel() - 1
    result = empty_batch_innermost((x.shape[0], num_rows), x)
    # named, since a copy must live until the kernel has read it
    values, bias = values.contiguous(), None if bias is None else bias.contiguous()
    native.spmm(
        x.element_size(), torch.get_num_threads(), num_rows, x.shape[0], row_pointers.data_ptr(), columns.data_ptr(),
        0, values.data_ptr(), x.data_ptr(), 0 if bias is None else bias.data_ptr(), result.data_ptr(),
    )  # fmt: skip
    return result


def _backward(
    gradient: Tensor,
    x: Tensor,
    values: Tensor,
    row_pointers: Tensor,
    columns: Tensor,
    column_pointers: Tensor,
    rows: Tensor,
    order: Tensor,
    for_x: bool,
    for_values: bool,
    for_bias: bool,
) -> list[Tensor]:
    """The gradients of x, values and bias; an empty tensor in the place of one that is not wanted."""
    gradient = batch_innermost(gradient)
    native = kernels()
    if native is None:
        g = gradient.t()
        return [
            spmm_reference(values[order], g, column_pointers, rows).t() if for_x else x.new_empty(0),
            sddmm_reference(g, x.t(), row_pointers, columns) if for_values else x.new_empty(0),
            gradient.sum(0) if for_bias else x.new_empty(0),
        ]
    num_rows, (num_examples, num_columns) = row_pointers.numel() - 1, x.shape
    values = values.contiguous()
    by_x = empty_batch_innermost(x.shape, x) if for_x else x.new_empty(0)
    by_values = torch.empty_like(values) if for_values else x.new_empty(0)
    by_bias = x.new_empty(num_rows) if for_bias else x.new_empty(0)
    native.linear_backward(
        x.element_size(), torch.get_num_threads(), num_rows, num_columns, num_examples,
        row_pointers.data_ptr(), columns.data_ptr(), column_pointers.data_ptr(), rows.data_ptr(), order.data_ptr(),
        values.data_ptr(), x.data_ptr(), gradient.data_ptr(),
        by_x.data_ptr() if for_x else 0, by_values.data_ptr() if for_values else 0,
        by_bias.data_ptr() if for_bias else 0,
    )  # fmt: skip
    return [by_x, by_values, by_bias]


def _differentiable_backward(
    gradient: Tensor, x: Tensor, values: Tensor, topology: Topology, needs: tuple[bool, ...]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    return (
        spmm_transposed(values, topology, gradient.t()).t() if needs[0] else None,
        sddmm(gradient.t(), x.t(), topology) if needs[1] else None,
        gradient.sum(0) if needs[2] else None,
    )


@torch.library.custom_op("thresher::linear", mutates_args=())
def _linear(
    x: Tensor,
    values: Tensor,
    bias: Tensor | None,
    row_pointers: Tensor,
    columns: Tensor,
    column_pointers: Tensor,
    rows: Tensor,
    order: Tensor,
) -> Tensor:
    return _forward(batch_innermost(x), values, bias, row_pointers, columns)


@torch.library.custom_op("thresher::linear_backward", mutates_args=())
def _linear_backward(
    gradient: Tensor,
    x: Tensor,
    values: Tensor,
    row_pointers: Tensor,
    columns: Tensor,
    column_pointers: Tensor,
    rows: Tensor,
    order: Tensor,
    for_x: bool,
    for_values: bool,
    for_bias: bool,
) -> list[Tensor]:
    topology = (row_pointers, columns, column_pointers, rows, order)
    return _backward(gradient, batch_innermost(x), values, *topology, for_x, for_values, for_bias)


@_linear.register_fake
def _(x, values, bias, row_pointers, columns, column_pointers, rows, order):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    return empty_batch_innermost((x.shape[0], row_pointers.numel() - 1), x)


@_linear_backward.register_fake
def _(  # type: ignore[no-untyped-def] # noqa: ANN202
    gradient, x, values, row_pointers, columns, column_pointers, rows, order, for_x, for_values, for_bias  # noqa: ANN001
):  # fmt: skip
    return [
        empty_batch_innermost(x.shape, x) if for_x else x.new_empty(0),
        torch.empty_like(values) if for_values else x.new_empty(0),
        x.new_empty(row_pointers.numel() - 1) if for_bias else x.new_empty(0),
    ]


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, values, _, *topology = inputs
    ctx.save_for_backward(x, values, *topology)


def _registered_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    x, values, *topology = ctx.saved_tensors
    needs = ctx.needs_input_grad
    found = _linear_backward(gradient, x, values, *topology, *needs[:3])
    return *(g if need else None for g, need in zip(found, needs, strict=False)), *[None] * 5


_linear.register_autograd(_registered_backward, setup_context=_save)
