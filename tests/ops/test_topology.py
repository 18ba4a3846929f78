"""Topology against loops over the matrix; what no kernel may ever see is refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thresher.core.errors import ArgumentError
from thresher.ops import Topology


@st.composite
def matrices(draw):
    rows, columns = draw(st.integers(0, 7)), draw(st.integers(0, 7))
    kept = draw(st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns))
    return torch.tensor(kept, dtype=torch.bool).view(rows, columns)


@given(matrices())
def test_rows_and_columns_are_those_found_by_a_loop(keep):
    rows, columns = keep.shape
    by_row = [(r, c) for r in range(rows) for c in range(columns) if keep[r, c]]
    by_column = sorted(by_row, key=lambda entry: (entry[1], entry[0]))
    topology = Topology.of(keep)
    assert topology.row_pointers.tolist() == [sum(r < end for r, _ in by_row) for end in range(rows + 1)]
    assert topology.columns.tolist() == [c for _, c in by_row]
    assert topology.column_pointers.tolist() == [sum(c < end for _, c in by_row) for end in range(columns + 1)]
    assert topology.rows.tolist() == [r for r, _ in by_column]
    assert topology.order.tolist() == [by_row.index(entry) for entry in by_column]
    assert all(t.dtype == torch.int32 for t in topology)
    assert (topology.num_rows, topology.num_columns, topology.kept) == (rows, columns, len(by_row))
    assert topology.positions.dtype == torch.int64
    assert topology.positions.tolist() == [r * columns + c for r, c in by_row]


@given(matrices())
def test_positions_make_the_same_topology(keep):
    topology = Topology.of(keep)
    again = Topology.at(topology.positions, *keep.shape)
    assert all(torch.equal(a, b) for a, b in zip(topology, again, strict=True))


def test_a_matrix_with_more_places_than_an_int32_counts():
    topology = Topology.at(torch.tensor([0, 70_000 * 70_000 - 1]), 70_000, 70_000)
    assert topology.columns.tolist() == [0, 69_999]
    assert topology.rows.tolist() == [0, 69_999]
    assert topology.positions.tolist() == [0, 70_000 * 70_000 - 1]


@pytest.mark.parametrize(
    ("positions", "found"),
    [
        ([-1, 2], "got -1"),
        ([-(2**62), 2], f"got {-(2**62)}"),
        ([0, 12], "got 12"),
        ([0, 2**62], f"got {2**62}"),
        ([0, 99, 3], "twice or out of order"),
        ([0, -5, 3], "twice or out of order"),
        ([3, 3], "twice or out of order"),
        ([5, 3], "twice or out of order"),
    ],
)
def test_positions_that_lead_outside_or_nowhere_are_refused(positions, found):
    with pytest.raises(ArgumentError, match=found):
        Topology.at(torch.tensor(positions), 3, 4)


@pytest.mark.parametrize(
    "positions", [torch.tensor([1], dtype=torch.int32), torch.tensor([1.0]), torch.tensor([[1]]), torch.tensor(1)]
)
def test_positions_of_another_kind_are_refused(positions):
    with pytest.raises(ArgumentError, match="int64 \\[kept\\]"):
        Topology.at(positions, 3, 4)


@pytest.mark.parametrize(("rows", "columns"), [(2**31, 1), (1, 2**31), (0, 5), (5, 0)])
def test_sizes_are_checked_before_anything_is_made(rows, columns):
    with pytest.raises(ArgumentError):
        Topology.at(torch.tensor([0]), rows, columns)
