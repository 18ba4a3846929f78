"""Topology: which entries of a matrix are kept, as compressed rows and as compressed columns."""

from typing import NamedTuple

import torch
from torch import Tensor

from thresher.core.errors import ArgumentError

_LARGEST = 2**31 - 1


class Topology(NamedTuple):
    """The kept entries of a rows × columns matrix, by row and again by column; all tensors are int32.

    row_pointers: [rows + 1]; the entries of row r are those from row_pointers[r] to row_pointers[r + 1].
    columns: [kept], the column of each entry, ascending within a row. Values are stored in this order.
    column_pointers: [columns + 1], the same the other way round.
    rows: [kept], the row of each entry, by column and ascending within one.
    order: [kept], where the entry of `rows` at the same place stands in the order by row.

    >>> topology = Topology.of(torch.tensor([[True, False, True], [False, False, True]]))
    >>> topology.row_pointers.tolist(), topology.columns.tolist()
    ([0, 2, 3], [0, 2, 2])
    >>> topology.column_pointers.tolist(), topology.rows.tolist(), topology.order.tolist()
    ([0, 1, 1, 3], [0, 0, 1], [0, 1, 2])
    """

    row_pointers: Tensor
    columns: Tensor
    column_pointers: Tensor
    rows: Tensor
    order: Tensor

    @classmethod
    def of(cls, keep: Tensor) -> "Topology":
        """The topology of a bool matrix, true where an entry is kept. Cost: O(rows · columns)."""
        return cls.at(keep.flatten().nonzero().squeeze(1), keep.shape[0], keep.shape[1])

    @classmethod
    def at(cls, positions: Tensor, num_rows: int, num_columns: int) -> "Topology":
        """The topology of the entries at `positions`, int64 [kept]: row · num_columns + column, ascending.

        Raises ArgumentError if a position is outside the matrix, twice there or out of order, so that no kernel
        ever sees an index it should not follow. Cost: O(kept log kept).
        """
        if max(positions.numel(), num_rows, num_columns) > _LARGEST:
            raise ArgumentError(
                f"a sparse matrix has at most {_LARGEST} rows, columns and kept entries: got {num_rows} × "
                f"{num_columns} with {positions.numel()} kept"
            )
        if positions.dim() != 1 or positions.dtype != torch.int64:
            raise ArgumentError(
                f"positions are int64 [kept]: got {positions.dtype} {list(positions.shape)}; "
                "they are row · num_columns + column"
            )
        if positions.numel():
            smallest, largest = int(positions[0]), int(positions[-1])
            if smallest < 0 or largest >= num_rows * num_columns:
                raise ArgumentError(
                    f"positions of a {num_rows} × {num_columns} matrix lie in [0, {num_rows * num_columns}): "
                    f"got {smallest if smallest < 0 else largest}"
                )
            if not bool((positions[1:] > positions[:-1]).all()):
                raise ArgumentError("positions ascend, each there once: got some twice or out of order")
        width = max(num_columns, 1)
        rows, columns = positions // width, positions % width
        order = torch.sort(columns, stable=True).indices
        return cls(
            _pointers(rows, num_rows),
            columns.int(),
            _pointers(columns, num_columns),
            rows[order].int(),
            order.int(),
        )

    @property
    def num_rows(self) -> int:
        """Rows of the matrix."""
        return self.row_pointers.numel() - 1

    @property
    def num_columns(self) -> int:
        """Columns of the matrix."""
        return self.column_pointers.numel() - 1

    @property
    def kept(self) -> int:
        """Number of kept entries."""
        return self.columns.numel()

    @property
    def positions(self) -> Tensor:
        """int64 [kept], row · num_columns + column of each entry in the order of the values."""
        counts = self.row_pointers.diff().long()
        rows = torch.arange(self.num_rows, device=counts.device).repeat_interleave(counts)
        return rows * self.num_columns + self.columns


def _pointers(sorted_or_not: Tensor, count: int) -> Tensor:
    pointers = torch.zeros(count + 1, dtype=torch.int32, device=sorted_or_not.device)
    pointers[1:] = torch.bincount(sorted_or_not, minlength=count).cumsum(0)
    return pointers
