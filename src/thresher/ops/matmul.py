"""Products with a sparse matrix S: S·X, Sᵀ·Y, and the entries of Y·Xᵀ that S keeps."""

import torch
from torch import Tensor

from thresher.core.errors import ArgumentError
from thresher.ops.checks import accepted
from thresher.ops.native import kernels
from thresher.ops.topology import Topology


def spmm(values: Tensor, topology: Topology, x: Tensor) -> Tensor:
    """S·x, [rows, n], of the sparse rows × columns matrix S and `x` [columns, n]: sparse × dense.

    values: [kept], the entries of S in the order of `topology`. Differentiable any number of times. Removed
    entries take no part, so an infinity they would meet does not become NaN. Cost: kept · n multiply-adds.
    Raises ArgumentError if the shapes or dtypes do not fit.

    >>> topology = Topology.of(torch.tensor([[True, False], [True, True]]))
    >>> spmm(torch.tensor([1.0, 2.0, 3.0]), topology, torch.tensor([[1.0], [10.0]])).tolist()
    [[1.0], [32.0]]
    """
    x = _checked("spmm", values, topology, x, topology.num_columns)
    result: Tensor = _spmm(values, x, *topology)
    return result


def spmm_transposed(values: Tensor, topology: Topology, y: Tensor) -> Tensor:
    """Sᵀ·y, [columns, n], of the sparse rows × columns matrix S and `y` [rows, n]; see `spmm`."""
    y = _checked("spmm_transposed", values, topology, y, topology.num_rows)
    result: Tensor = _spmm_transposed(values, y, *topology)
    return result


def sddmm(y: Tensor, x: Tensor, topology: Topology) -> Tensor:
    """The entries of y·xᵀ that `topology` keeps, [kept], of `y` [rows, n] and `x` [columns, n].

    A sampled dense-dense product: the gradient of `spmm` with respect to its values. Differentiable any number
    of times. Cost: kept · n multiply-adds. Raises ArgumentError if the shapes or dtypes do not fit.

    >>> topology = Topology.of(torch.tensor([[True, False], [True, True]]))
    >>> sddmm(torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [10.0]]), topology).tolist()
    [1.0, 2.0, 20.0]
    """
    x = _checked("sddmm", y, topology, x, topology.num_columns)
    if y.shape != (topology.num_rows, x.shape[1]):
        raise ArgumentError(f"sddmm: y is [{topology.num_rows}, {x.shape[1]}], got {list(y.shape)}")
    result: Tensor = _sddmm(y, x, *topology)
    return result


def _checked(operation: str, values: Tensor, topology: Topology, x: Tensor, features: int) -> Tensor:
    x = accepted(operation, x, values)
    if x.dim() != 2 or x.shape[0] != features:
        raise ArgumentError(f"{operation}: the dense matrix is [{features}, n], got {list(x.shape)}")
    if operation != "sddmm" and values.shape != (topology.kept,):
        raise ArgumentError(f"{operation}: {topology.kept} entries are kept, got values of shape {list(values.shape)}")
    return x


@torch.library.custom_op("thresher::spmm", mutates_args=())
def _spmm(
    values: Tensor,
    x: Tensor,
    row_pointers: Tensor,
    columns: Tensor,
    column_pointers: Tensor,
    rows: Tensor,
    order: Tensor,
) -> Tensor:
    result = x.new_empty((row_pointers.numel() - 1, x.shape[1]))
    native = kernels()
    if native is None:
        return spmm_reference(values, x, row_pointers, columns)
    values, x = values.contiguous(), x.contiguous()
    native.spmm(
        x.element_size(), torch.get_num_threads(), result.shape[0], x.shape[1],
        row_pointers.data_ptr(), columns.data_ptr(), 0, values.data_ptr(), x.data_ptr(), 0, result.data_ptr(),
    )  # fmt: skip
    return result


@torch.library.custom_op("thresher::spmm_transposed", mutates_args=())
def _spmm_transposed(
    values: Tensor,
    y: Tensor,
    row_pointers: Tensor,
    columns: Tensor,
    column_pointers: Tensor,
    rows: Tensor,
    order: Tensor,
) -> Tensor:
    result = y.new_empty((column_pointers.numel() - 1, y.shape[1]))
    native = kernels()
    if native is None:
        return spmm_reference(values[order], y, column_pointers, rows)
    values, y = values.contiguous(), y.contiguous()
    native.spmm(
        y.element_size(), torch.get_num_threads(), result.shape[0], y.shape[1],
        column_pointers.data_ptr(), rows.data_ptr(), order.data_ptr(), values.data_ptr(), y.data_ptr(), 0,
        result.data_ptr(),
    )  # fmt: skip
    return result


@torch.library.custom_op("thresher::sddmm", mutates_args=())
def _sddmm(
    y: Tensor,
    x: Tensor,
    row_pointers: Tensor,
    columns: Tensor,
    column_pointers: Tensor,
    rows: Tensor,
    order: Tensor,
) -> Tensor:
    native = kernels()
    if native is None:
        return sddmm_reference(y, x, row_pointers, columns)
    result = x.new_empty(columns.numel())
    y, x = y.contiguous(), x.contiguous()
    native.sddmm(
        x.element_size(), torch.get_num_threads(), y.shape[0], x.shape[1],
        row_pointers.data_ptr(), columns.data_ptr(), y.data_ptr(), x.data_ptr(), result.data_ptr(),
    )  # fmt: skip
    return result


def row_of_each(row_pointers: Tensor) -> Tensor:
    """int64 [kept]: the row of each entry."""
    counts = row_pointers.diff().long()
    return torch.arange(counts.numel(), device=counts.device).repeat_interleave(counts)


def spmm_reference(values: Tensor, x: Tensor, row_pointers: Tensor, columns: Tensor) -> Tensor:
    """S·x in torch: what the kernel has to equal, and what runs where there is none. Memory: kept · n numbers."""
    result = x.new_zeros((row_pointers.numel() - 1, x.shape[1]))
    return result.index_add_(0, row_of_each(row_pointers), values[:, None] * x[columns])


def sddmm_reference(y: Tensor, x: Tensor, row_pointers: Tensor, columns: Tensor) -> Tensor:
    """The kept entries of y·xᵀ in torch; see `spmm_reference`."""
    return (y[row_of_each(row_pointers)] * x[columns]).sum(1)


@_spmm.register_fake
def _(values, x, row_pointers, columns, column_pointers, rows, order):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    return x.new_empty((row_pointers.numel() - 1, x.shape[1]))


@_spmm_transposed.register_fake
def _(values, y, row_pointers, columns, column_pointers, rows, order):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    return y.new_empty((column_pointers.numel() - 1, y.shape[1]))


@_sddmm.register_fake
def _(y, x, row_pointers, columns, column_pointers, rows, order):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    return x.new_empty(columns.numel())


def _save(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    ctx.save_for_backward(*inputs)


def _spmm_backward(ctx, gradient: Tensor):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    values, x, *topology = ctx.saved_tensors
    for_values = _sddmm(gradient, x, *topology) if ctx.needs_input_grad[0] else None
    for_x = _spmm_transposed(values, gradient, *topology) if ctx.needs_input_grad[1] else None
    return for_values, for_x, None, None, None, None, None


def _spmm_transposed_backward(ctx, gradient: Tensor):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    values, y, *topology = ctx.saved_tensors
    for_values = _sddmm(y, gradient, *topology) if ctx.needs_input_grad[0] else None
    for_y = _spmm(values, gradient, *topology) if ctx.needs_input_grad[1] else None
    return for_values, for_y, None, None, None, None, None


def _sddmm_backward(ctx, gradient: Tensor):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    y, x, *topology = ctx.saved_tensors
    for_y = _spmm(gradient, x, *topology) if ctx.needs_input_grad[0] else None
    for_x = _spmm_transposed(gradient, y, *topology) if ctx.needs_input_grad[1] else None
    return for_y, for_x, None, None, None, None, None


_spmm.register_autograd(_spmm_backward, setup_context=_save)
_spmm_transposed.register_autograd(_spmm_transposed_backward, setup_context=_save)
_sddmm.register_autograd(_sddmm_backward, setup_context=_save)
