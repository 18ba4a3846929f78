"""Sparse 2-D convolution in torch: what the kernels have to equal, and what runs where there are none."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor


class Geometry(NamedTuple):
    """A convolution's shape: kernel, stride, padding and dilation as (height, width), and the groups."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    def output_side(self, size: int, dimension: int) -> int:
        """Height (dimension 0) or width (1) of the result for an input of that `size`; may be below 1."""
        reach = self.dilation[dimension] * (self.kernel[dimension] - 1) + 1
        return (size + 2 * self.padding[dimension] - reach) // self.stride[dimension] + 1


def forward_reference(x: Tensor, values: Tensor, row_pointers: Tensor, columns: Tensor, geometry: Geometry) -> Tensor:
    """The convolution of `x` [N, C, H, W], without bias. Memory: the unfolded input, C·kh·kw·N·H'·W' numbers."""
    patches = _patches(x, geometry)
    num_rows = row_pointers.numel() - 1
    result = x.new_empty((num_rows, patches.shape[-1]))
    for row, entries in _entries(row_pointers):
        group = row * geometry.groups // num_rows
        result[row] = values[entries] @ patches[group, columns[entries].long()]
    sides = [geometry.output_side(size, i) for i, size in enumerate(x.shape[2:])]
    return result.view(num_rows, x.shape[0], *sides).transpose(0, 1)


def input_gradient_reference(
    gradient: Tensor,
    values: Tensor,
    row_pointers: Tensor,
    columns: Tensor,
    shape: tuple[int, ...],
    geometry: Geometry,
) -> Tensor:
    """The gradient of the input, of `shape` [N, C, H, W], from that of the result."""
    num_examples, num_channels = shape[:2]
    num_columns = num_channels // geometry.groups * geometry.kernel[0] * geometry.kernel[1]
    by_row = gradient.transpose(0, 1).flatten(1)
    patches = gradient.new_zeros((geometry.groups, num_columns, by_row.shape[1]))
    for row, entries in _entries(row_pointers):
        group = row * geometry.groups // by_row.shape[0]
        patches[group].index_add_(0, columns[entries], values[entries, None] * by_row[row])
    if not num_examples:
        return gradient.new_zeros(shape)  # which F.fold refuses
    folded = patches.view(geometry.groups * num_columns, num_examples, -1).transpose(0, 1)
    return F.fold(
        folded, shape[2:], geometry.kernel, geometry.dilation, geometry.padding, geometry.stride
    )  # fmt: skip


def values_gradient_reference(
    gradient: Tensor, x: Tensor, row_pointers: Tensor, columns: Tensor, geometry: Geometry
) -> Tensor:
    """The gradient of the kept values, [kept]."""
    patches = _patches(x, geometry)
    by_row = gradient.transpose(0, 1).flatten(1)
    result = x.new_empty(columns.numel())
    for row, entries in _entries(row_pointers):
        group = row * geometry.groups // by_row.shape[0]
        result[entries] = patches[group, columns[entries].long()] @ by_row[row]
    return result


def _patches(x: Tensor, geometry: Geometry) -> Tensor:
    """[groups, C/groups·kh·kw, N·H'·W']: what each output position of each example sees."""
    unfolded = F.unfold(x, geometry.kernel, geometry.dilation, geometry.padding, geometry.stride)
    return unfolded.transpose(0, 1).reshape(geometry.groups, unfolded.shape[1] // geometry.groups, -1)


def _entries(row_pointers: Tensor) -> list[tuple[int, slice]]:
    bounds = row_pointers.tolist()
    return [(row, slice(bounds[row], bounds[row + 1])) for row in range(len(bounds) - 1)]
