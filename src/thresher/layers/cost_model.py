"""What a training step of a layer costs dense and sparse, and which layers of a chain had better be sparse."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class LayerCost:
    """Seconds of one training step, forward and backward, of one layer on one shape of input and batch.

    dense: the dense form, removed weights held at zero. fixed, per_kept: the sparse form is taken to cost
    fixed + per_kept · kept weights, for an input that lies batch innermost as it leaves another sparse layer.
    arriving, leaving: what it costs to bring the input into that layout, and the output out of it, gradients the other
    way included; a neighbour that is not sparse makes it necessary.
    """

    dense: float
    fixed: float
    per_kept: float
    arriving: float
    leaving: float

    @classmethod
    def from_measurements(
        cls, dense: float, sparse: Mapping[int, float], arriving: float = 0.0, leaving: float = 0.0
    ) -> Self:
        """The cost with the least squares line, nowhere falling nor below zero, through `sparse`: kept → seconds.

        >>> LayerCost.from_measurements(9.0, {10: 3.0, 20: 4.0})
        LayerCost(dense=9.0, fixed=2.0, per_kept=0.1, arriving=0.0, leaving=0.0)
        """
        count, sum_of_kept = len(sparse), sum(sparse)
        sum_of_squares = sum(kept * kept for kept in sparse)
        seconds = sum(sparse.values())
        products = sum(kept * taken for kept, taken in sparse.items())
        determinant = count * sum_of_squares - sum_of_kept * sum_of_kept
        per_kept = (count * products - sum_of_kept * seconds) / determinant if determinant else 0.0
        per_kept = max(per_kept, 0.0)
        fixed = (seconds - per_kept * sum_of_kept) / count
        if fixed < 0:
            fixed, per_kept = 0.0, products / sum_of_squares
        return cls(dense, fixed, per_kept, arriving, leaving)

    def sparse(self, kept: int) -> float:
        """Seconds of the sparse form with `kept` weights."""
        return self.fixed + self.per_kept * kept

    def __mul__(self, times: float) -> "LayerCost":
        return LayerCost(
            self.dense * times, self.fixed * times, self.per_kept * times, self.arriving * times, self.leaving * times
        )

    def __add__(self, other: "LayerCost") -> "LayerCost":
        return LayerCost(
            self.dense + other.dense,
            self.fixed + other.fixed,
            self.per_kept + other.per_kept,
            self.arriving + other.arriving,
            self.leaving + other.leaving,
        )


@dataclass(frozen=True)
class Link:
    """A layer of a chain: its cost and how many weights it keeps; a layer that has to stay dense has no cost."""

    cost: LayerCost | None
    kept: int = 0


# a sparse layer has to promise a tenth off: what is modelled and what is met differ by some per cent
MARGIN = 0.9


def cheapest(chain: Sequence[Link], margin: float = MARGIN) -> list[bool]:
    """Which layers of `chain`, one feeding the next, to make sparse for the cheapest training step.

    Each layer costs what its form costs; where a dense layer, the chain's input or its end meets a sparse layer, the
    change of layout is charged to the sparse one. All that sparse layers bring along, changes of layout included, has
    to cost at most `margin` times what it saves. Exact: the cheapest of all 2^n choices, found by dynamic
    programming over the form of the layer reached. Cost: O(n²) (the choices are carried along).

    >>> cost = LayerCost(dense=1.0, fixed=0.0, per_kept=0.01, arriving=0.3, leaving=0.3)
    >>> cheapest([Link(cost, kept=50)]), cheapest([Link(cost, kept=50), Link(cost, kept=50)])
    ([False], [True, True])
    """
    dense: tuple[float, list[bool]] = (0.0, [])
    sparse: tuple[float, list[bool]] = (math.inf, [])
    leaving = 0.0  # of the layer before, if that was sparse
    for link in chain:
        came_out = _better(dense, _plus(sparse, leaving / margin))
        if link.cost is None:
            dense, sparse = (came_out[0], [*came_out[1], False]), (math.inf, [])
            continue
        went_in = _better(_plus(dense, link.cost.arriving / margin), sparse)
        dense = (came_out[0] + link.cost.dense, [*came_out[1], False])
        sparse = (went_in[0] + link.cost.sparse(link.kept) / margin, [*went_in[1], True])
        leaving = link.cost.leaving
    return _better(dense, _plus(sparse, leaving / margin))[1]


def _plus(path: tuple[float, list[bool]], seconds: float) -> tuple[float, list[bool]]:
    return path[0] + seconds, path[1]


def _better(first: tuple[float, list[bool]], second: tuple[float, list[bool]]) -> tuple[float, list[bool]]:
    return second if second[0] < first[0] else first
