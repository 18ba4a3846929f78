"""Structural rank: the largest rank a matrix can have, given where its entries are not zero."""

import torch
from torch import Tensor

from thresher.core.errors import ArgumentError


def structural_rank(keep: Tensor) -> int:
    """The rank of almost every matrix that is zero where the bool matrix `keep` is false.

    It is the size of a largest matching of rows with columns, one kept entry each, found by Hopcroft and Karp's
    phases. No matrix of that support has more rank, those with entries drawn at random have it with probability 1.
    Exact, in contrast to counting singular values of a random matrix, which can be as small as rounding.

    Raises ArgumentError for what is no bool matrix. Cost: O(kept · √rows) at worst, in practice a few passes over kept.
    Source: Hopcroft, Karp (1973).

    >>> import torch
    >>> structural_rank(torch.tensor([[1, 0, 0], [1, 0, 0], [1, 1, 1]]).bool())
    2
    """
    if keep.dim() != 2 or keep.dtype != torch.bool:
        raise ArgumentError(f"keep is a bool matrix: got {keep.dtype} {list(keep.shape)}")
    if keep.shape[0] > keep.shape[1]:
        keep = keep.T
    rows, columns = keep.nonzero(as_tuple=True)
    counts = rows.bincount(minlength=keep.shape[0]).tolist()
    own = [part.tolist() for part in torch.split(columns, counts)] if counts else []
    row_of: dict[int, int] = {}  # column → the row it is matched with
    free = []
    for row in sorted(range(len(own)), key=counts.__getitem__):  # the choosiest first
        column = next((c for c in own[row] if c not in row_of), None)
        if column is None:
            free.append(row)
        else:
            row_of[column] = row
    while left := _phase(own, row_of, free):
        free = left
    return len(row_of)


def _phase(own: list[list[int]], row_of: dict[int, int], free: list[int]) -> list[int]:
    """Augment along a largest set of disjoint shortest paths; the rows still free, or none if no path was found."""
    depth = dict.fromkeys(free, 0)
    layer, reached = free, False
    while layer and not reached:
        following = []
        for row in layer:
            for column in own[row]:
                other = row_of.get(column)
                if other is None:
                    reached = True
                elif other not in depth:
                    depth[other] = depth[row] + 1
                    following.append(other)
        layer = following
    if not reached:
        return []
    return [row for row in free if not _augmented(row, own, row_of, depth)]


def _augmented(start: int, own: list[list[int]], row_of: dict[int, int], depth: dict[int, int]) -> bool:
    """Whether a path from the free row `start` to a free column was found, and then matched along."""
    path: list[tuple[int, int]] = []  # (row, the column it will have)
    trying = {start: iter(own[start])}
    row = start
    while True:
        for column in trying[row]:
            other = row_of.get(column)
            if other is None:
                for one, its in [*path, (row, column)]:
                    row_of[its] = one
                for one in trying:
                    depth.pop(one, None)
                return True
            if depth.get(other) == depth[row] + 1 and other not in trying:
                path.append((row, column))
                trying[other] = iter(own[other])
                row = other
                break
        else:
            depth.pop(row)  # a dead end for the rest of the phase
            if not path:
                return False
            row, _ = path.pop()
