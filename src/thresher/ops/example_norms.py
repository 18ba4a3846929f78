"""Squared norms of every example's gradient of a sparse layer's weights, without storing those gradients."""

import torch
from torch import Tensor

from thresher.core.errors import ArgumentError
from thresher.ops.checks import accepted
from thresher.ops.conv2d_reference import Geometry, values_gradient_reference
from thresher.ops.layout import batch_innermost
from thresher.ops.matmul import spmm
from thresher.ops.native import kernels
from thresher.ops.topology import Topology

Pair = tuple[int, int]


@torch.no_grad()
def linear_example_norms(x: Tensor, gradient: Tensor, topology: Topology) -> Tensor:
    """‖∂ℓ_n/∂values‖² of each example n of a sparse linear layer, [N].

    x: [N, …, in], the layer's input. gradient: [N, …, out], that of Σ_n ℓ_n with respect to its output. What stands
    between N and the features belongs to one example: its contributions are summed before they are squared.
    For [N, in] the norm is Σ_kept (g_row · x_column)² = Σ_row g_row² · (M·x²)_row, with M the topology as a matrix
    of ones: one sparse product of squares. In float32 a square below 1e-38 is 0, so that a gradient entry below
    about 1e-19 counts for nothing.
    Cost: kept multiply-adds for every row of `x`. Raises ArgumentError if shapes or dtypes do not fit.
    Source: Goodfellow 2015 (Efficient per-example gradient computations), Eq. 4 for a dense layer; a topology in it
    is ours.

    >>> topology = Topology.of(torch.tensor([[True, False], [True, True]]))
    >>> x, gradient = torch.tensor([[1.0, 10.0], [2.0, 0.0]]), torch.tensor([[1.0, 1.0], [0.0, 3.0]])
    >>> linear_example_norms(x, gradient, topology).tolist()
    [102.0, 36.0]
    """
    x = accepted("linear_example_norms", x, gradient)
    if x.dim() < 2 or x.shape[-1] != topology.num_columns or gradient.shape != (*x.shape[:-1], topology.num_rows):
        raise ArgumentError(
            f"linear_example_norms: x is [N, ..., {topology.num_columns}] and the gradient [N, ..., "
            f"{topology.num_rows}], got {list(x.shape)} and {list(gradient.shape)}"
        )
    if x.dim() > 2:  # a convolution that sees one position at a time
        images = [t.reshape(t.shape[0], 1, x.shape[1:-1].numel(), t.shape[-1]).movedim(-1, 1) for t in (x, gradient)]
        return conv2d_example_norms(images[0], images[1], topology, kernel_size=(1, 1))
    squares = spmm(x.new_ones(topology.kept), topology, batch_innermost(x).t().square())
    return (squares * batch_innermost(gradient).t().square()).sum(0)


@torch.no_grad()
def conv2d_example_norms(
    x: Tensor,
    gradient: Tensor,
    topology: Topology,
    kernel_size: Pair,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Tensor:
    """‖∂ℓ_n/∂values‖² of each example n of a sparse convolution, [N]: Σ_kept (Σ_positions gradient · input)².

    x: [N, C, H, W], the layer's input. gradient: [N, O, H', W'], that of Σ_n ℓ_n with respect to its output. The
    rest as in `conv2d`. Results do not depend on the number of threads; padding counts as zeros that are seen.
    Cost: kept · N · H' · W' multiply-adds, like the values' gradient; memory for a slice of examples per thread.
    Raises ArgumentError if shapes or dtypes do not fit.

    >>> topology = Topology.of(torch.tensor([[True, False]]))
    >>> x, gradient = torch.ones(1, 1, 1, 4), torch.tensor([[[[1.0, 2.0, 3.0]]]])
    >>> conv2d_example_norms(x, gradient, topology, kernel_size=(1, 2)).tolist()
    [36.0]
    """
    x = accepted("conv2d_example_norms", x, gradient)
    geometry = Geometry(kernel_size, stride, padding, dilation, groups)
    num_rows, kernel = topology.num_rows, kernel_size[0] * kernel_size[1]
    if x.dim() != 4 or x.shape[1] * kernel != topology.num_columns * groups:
        channels = topology.num_columns * groups // kernel
        raise ArgumentError(f"conv2d_example_norms: the input is [N, {channels}, H, W], got {list(x.shape)}")
    expected = (x.shape[0], num_rows, geometry.output_side(x.shape[2], 0), geometry.output_side(x.shape[3], 1))
    if min(expected[2:]) < 1 or gradient.shape != expected:
        raise ArgumentError(
            f"conv2d_example_norms: the gradient of the output is {list(expected)}, got {list(gradient.shape)}"
        )
    if not topology.kept:
        return x.new_zeros(x.shape[0])
    native = kernels()
    if native is None:
        each = [
            values_gradient_reference(g[None], one[None], *topology[:2], geometry).square().sum()
            for one, g in zip(x, gradient, strict=True)
        ]
        return torch.stack(each) if each else x.new_empty(0)
    x, gradient = batch_innermost(x), batch_innermost(gradient)
    norms = x.new_empty(x.shape[0])
    native.conv2d_example_norms(
        x.element_size(), torch.get_num_threads(), *x.shape, num_rows, *kernel_size, *stride, *padding, *dilation,
        groups, topology.row_pointers.data_ptr(), topology.columns.data_ptr(), x.data_ptr(), gradient.data_ptr(),
        norms.data_ptr(),
    )  # fmt: skip
    return norms
