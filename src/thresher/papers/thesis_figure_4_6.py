"""Thesis Figure 4.6: singular values after pruning a trained network by magnitude."""

from typing import Any

from thresher.papers.computation import Computation
from thresher.papers.published import Budget, Cell, Claim, PublishedTable
from thresher.papers.thesis_chapter_4 import ALL_EXAMPLES, BIASES, MNIST, SOURCE
from thresher.papers.thesis_chapter_4_signals import (
    SPARSITIES,
    STATISTICS,
    column,
    computed,
    magnitude_after_training,
    row,
)
from thresher.papers.thesis_figure_4_4 import LINEAR_RATE

_QUICK = 2_000
_RATES = {"linear": LINEAR_RATE, "tanh": MNIST.learning_rate}
_POINTS = (0.0, *SPARSITIES)


def _initial(statistic: str) -> str:
    return f"{statistic} JSV at initialisation"


def _works(activation: str) -> dict[Budget, Computation]:
    def computation(data: str, steps: int, examples: int) -> Computation:
        arguments: dict[str, Any] = {
            "data": data,
            "model": f"mlp-7-{activation}",
            "initializer": "orthogonal",
            "learning_rate": _RATES[activation],
            "steps": steps,
            "sparsities": _POINTS,
            "examples": examples,
        }
        return Computation(magnitude_after_training, tuple(arguments.items()), data=data)

    return {
        "smoke": computation("digits", 4, 16),
        "quick": computation("mnist", _QUICK, 1_000),
        "full": computation("mnist", MNIST.iterations, ALL_EXAMPLES),
    }


def _cells(activation: str) -> tuple[Cell, ...]:
    works, label = _works(activation), row(activation, "LDI-Mag")
    return tuple(
        Cell(row=label, column=title, work=computed(works, key))
        for name in STATISTICS
        for title, key in (
            (_initial(name), f"{name} initial"),
            *((column(name, sparsity), f"{name} {sparsity:g}") for sparsity in _POINTS),
        )
    )


TABLE = PublishedTable(
    name="thesis/figure-4.6",
    title="Signal propagation after magnitude pruning of trained perceptrons of 7 layers",
    source=SOURCE,
    page="Figure 4.6, page 70",
    measured="Jacobian singular values (JSV) before training goes on",
    readings=(
        "JSV: the singular values of the logits' Jacobian, one a training example, pooled over examples",
        "how the network is trained before it is pruned is not said: here from orthogonal weights, by plain SGD as for "
        f"Figure 4.2, at rate 0.1 (linear: {LINEAR_RATE}), for as long as the others are trained",
        "the caption's sharp change from 0 to 10 % is read as that from initialisation: a tenth of a trained network's "
        "weights, its smallest, changes next to nothing, as the column of 0 % shows",
    ),
    departures=(
        "the figure is a plot: no number can be read off it",
        BIASES,
        f"quick trains for {_QUICK:,} steps and takes the Jacobians of 1,000 examples",
    ),
    cells=tuple(cell for activation in _RATES for cell in _cells(activation)),
    seeds={"smoke": 1, "quick": 3, "full": 10},
    claims=tuple(
        Claim(
            text=f"{activation}: the singular values are not concentrated as at initialisation (deviation at 10 %)",
            cell=(row(activation, "LDI-Mag"), column("std", SPARSITIES[0])),
            minus=(row(activation, "LDI-Mag"), _initial("std")),
            above=0.0,
        )
        for activation in _RATES
    ),
)
