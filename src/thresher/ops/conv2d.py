"""A sparse 2-D convolution."""

import functools
from typing import Any

import torch
from torch import Tensor

from thresher.core.errors import ArgumentError
from thresher.ops.checks import accepted, check_weights
from thresher.ops.conv2d_reference import (
    Geometry,
    forward_reference,
    input_gradient_reference,
    values_gradient_reference,
)
from thresher.ops.layout import batch_innermost, empty_batch_innermost
from thresher.ops.native import is_plain, kernels
from thresher.ops.topology import Topology

Pair = tuple[int, int]


def conv2d(
    x: Tensor,
    values: Tensor,
    bias: Tensor | None,
    topology: Topology,
    kernel_size: Pair,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Tensor:
    """The convolution of `x` [N, C, H, W] with a sparse O × C/groups × kh × kw kernel, plus `bias`: [N, O, H', W'].

    `topology` is that of the kernel as an O × (C/groups·kh·kw) matrix, ``weight.flatten(1)``; values: [kept];
    bias: [O] or none; the rest as in `torch.nn.functional.conv2d`. Any strides are accepted; the result lies batch
    innermost in memory (see `batch_innermost`). Removed weights take no part: an infinity they would meet does not
    become NaN. Differentiable once. Under ``torch.autocast`` the input is cast to the values' dtype. Results do not
    depend on the number of threads.
    Cost: kept · N · H' · W' multiply-adds, backward twice that; memory for a tile of the input per thread, and where
    there are fewer examples than a vector has numbers, for a copy of the padded input.
    Raises ArgumentError for shapes that do not fit, mixed dtypes, and off the CPU.

    >>> topology = Topology.of(torch.tensor([[False, True, False, False]]))
    >>> image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> conv2d(image, torch.tensor([10.0]), None, topology, kernel_size=(2, 2)).tolist()
    [[[[20.0]]]]
    """
    x = accepted("conv2d", x, values)
    geometry = Geometry(kernel_size, stride, padding, dilation, groups)
    check_weights("conv2d", values, bias, topology)
    _check(x, topology, geometry)
    x = batch_innermost(x)
    result: Tensor
    if not (is_plain(x) and is_plain(values)):
        result = _conv2d(x, values, bias, topology.row_pointers, topology.columns, _flat(geometry))
    elif torch.is_inference_mode_enabled():  # nothing to record
        result = _forward(x, values, bias, topology.row_pointers, topology.columns, geometry)
    else:
        result = _Conv2d.apply(x, values, bias, topology.row_pointers, topology.columns, geometry)  # type: ignore[no-untyped-call]
    return result


def _check(x: Tensor, topology: Topology, geometry: Geometry) -> None:
    if x.dim() != 4:
        raise ArgumentError(f"conv2d: the input is [N, C, H, W], got {list(x.shape)}")
    sizes = [*geometry.kernel, *geometry.stride, *geometry.dilation, geometry.groups]
    if min(sizes) < 1 or min(geometry.padding) < 0:
        raise ArgumentError(f"conv2d: kernel, stride, dilation and groups are 1 or more, padding 0 or more: {geometry}")
    if topology.num_columns % (geometry.kernel[0] * geometry.kernel[1]):
        raise ArgumentError(
            f"conv2d: the topology has {topology.num_columns} columns, which a kernel of {geometry.kernel} does not "
            "divide"
        )
    channels = topology.num_columns // (geometry.kernel[0] * geometry.kernel[1]) * geometry.groups
    if channels < 1:
        raise ArgumentError("conv2d: the topology has no columns, so that there is no channel to convolve")
    if x.shape[1] != channels:
        raise ArgumentError(f"conv2d: the input has {channels} channels, got {list(x.shape)}")
    if topology.num_rows % geometry.groups:
        raise ArgumentError(f"conv2d: {topology.num_rows} filters cannot be shared among {geometry.groups} groups")
    sides = [geometry.output_side(size, i) for i, size in enumerate(x.shape[2:])]
    if min(sides) < 1:
        raise ArgumentError(
            f"conv2d: an input of {x.shape[2]} × {x.shape[3]} with padding {geometry.padding} is smaller than the "
            f"kernel {geometry.kernel} with dilation {geometry.dilation}"
        )


def _flat(geometry: Geometry) -> list[int]:
    return [*geometry.kernel, *geometry.stride, *geometry.padding, *geometry.dilation, geometry.groups]


def _geometry(flat: list[int]) -> Geometry:
    pairs = [(flat[i], flat[i + 1]) for i in range(0, 8, 2)]
    return Geometry(pairs[0], pairs[1], pairs[2], pairs[3], flat[8])


def _result_shape(x: Tensor, num_rows: int, geometry: Geometry) -> tuple[int, ...]:
    return (x.shape[0], num_rows, geometry.output_side(x.shape[2], 0), geometry.output_side(x.shape[3], 1))


class _Conv2d(torch.autograd.Function):
    """The registered operator without the dispatcher, as in `linear`."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        values: Tensor,
        bias: Tensor | None,
        row_pointers: Tensor,
        columns: Tensor,
        geometry: Geometry,
    ) -> Tensor:
        ctx.save_for_backward(x, values, row_pointers, columns)
        ctx.geometry = geometry
        return _forward(x, values, bias, row_pointers, columns, geometry)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        needs = ctx.needs_input_grad[:3]
        x, values, row_pointers, columns = ctx.saved_tensors
        found = _backward(gradient, x, values, row_pointers, columns, ctx.geometry, *needs)
        return *(g if need else None for g, need in zip(found, needs, strict=True)), None, None, None


def _forward(
    x: Tensor, values: Tensor, bias: Tensor | None, row_pointers: Tensor, columns: Tensor, geometry: Geometry
) -> Tensor:
    native = kernels()
    if native is None:
        found = forward_reference(x, values, row_pointers, columns, geometry)
        return batch_innermost(found if bias is None else found + bias[:, None, None])
    num_rows = row_pointers.numel() - 1
    result = empty_batch_innermost(_result_shape(x, num_rows, geometry), x)
    # named, since a copy must live until the kernel has read it
    values, bias = values.contiguous(), None if bias is None else bias.contiguous()
    native.conv2d(
        x.element_size(), torch.get_num_threads(), *x.shape, num_rows, *_flat(geometry),
        row_pointers.data_ptr(), columns.data_ptr(), values.data_ptr(), x.data_ptr(),
        0 if bias is None else bias.data_ptr(), result.data_ptr(),
    )  # fmt: skip
    return result


def _backward(
    gradient: Tensor,
    x: Tensor,
    values: Tensor,
    row_pointers: Tensor,
    columns: Tensor,
    geometry: Geometry,
    for_x: bool,
    for_values: bool,
    for_bias: bool,
) -> list[Tensor]:
    """The gradients of x, values and bias; an empty tensor in the place of one that is not wanted."""
    gradient = batch_innermost(gradient)
    nothing = functools.partial(x.new_empty, 0)  # another one each time: an operator's results may not share memory
    native = kernels()
    if native is None:
        rows = (row_pointers, columns)
        shape = tuple(x.shape)
        return [
            batch_innermost(input_gradient_reference(gradient, values, *rows, shape, geometry)) if for_x else nothing(),
            values_gradient_reference(gradient, x, *rows, geometry) if for_values else nothing(),
            gradient.sum((0, 2, 3)) if for_bias else nothing(),
        ]
    num_rows, values = row_pointers.numel() - 1, values.contiguous()
    by_x = empty_batch_innermost(x.shape, x) if for_x else nothing()
    by_values = torch.empty_like(values) if for_values else nothing()
    by_bias = x.new_empty(num_rows) if for_bias else nothing()
    native.conv2d_backward(
        x.element_size(), torch.get_num_threads(), *x.shape, num_rows, *_flat(geometry),
        row_pointers.data_ptr(), columns.data_ptr(), values.data_ptr(), x.data_ptr(),
        gradient.data_ptr(), by_x.data_ptr() if for_x else 0, by_values.data_ptr() if for_values else 0,
        by_bias.data_ptr() if for_bias else 0,
    )  # fmt: skip
    return [by_x, by_values, by_bias]


@torch.library.custom_op("thresher::conv2d", mutates_args=())
def _conv2d(
    x: Tensor,
    values: Tensor,
    bias: Tensor | None,
    row_pointers: Tensor,
    columns: Tensor,
    geometry: list[int],
) -> Tensor:
    return _forward(batch_innermost(x), values, bias, row_pointers, columns, _geometry(geometry))


@torch.library.custom_op("thresher::conv2d_backward", mutates_args=())
def _conv2d_backward(
    gradient: Tensor,
    x: Tensor,
    values: Tensor,
    row_pointers: Tensor,
    columns: Tensor,
    geometry: list[int],
    for_x: bool,
    for_values: bool,
    for_bias: bool,
) -> list[Tensor]:
    wanted = (for_x, for_values, for_bias)
    return _backward(gradient, batch_innermost(x), values, row_pointers, columns, _geometry(geometry), *wanted)


@_conv2d.register_fake
def _(x, values, bias, row_pointers, columns, geometry):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    return empty_batch_innermost(_result_shape(x, row_pointers.numel() - 1, _geometry(geometry)), x)


@_conv2d_backward.register_fake
def _(gradient, x, values, row_pointers, columns, geometry, for_x, for_values, for_bias):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    return [
        empty_batch_innermost(x.shape, x) if for_x else x.new_empty(0),
        torch.empty_like(values) if for_values else x.new_empty(0),
        x.new_empty(row_pointers.numel() - 1) if for_bias else x.new_empty(0),
    ]


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, values, _, row_pointers, columns, ctx.geometry = inputs
    ctx.save_for_backward(x, values, row_pointers, columns)


def _registered_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    needs = ctx.needs_input_grad[:3]
    found = _conv2d_backward(gradient, *ctx.saved_tensors, ctx.geometry, *needs)
    return *(g if need else None for g, need in zip(found, needs, strict=True)), None, None, None


_conv2d.register_autograd(_registered_backward, setup_context=_save)
