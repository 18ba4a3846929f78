"""Thesis Table 4.1: the scale of the initial weights, the Jacobian's singular values, and what SNIP then leaves."""

import math
from typing import Any

from thresher.papers.published import Budget, Cell, Claim, Printed, PublishedTable, Work
from thresher.papers.thesis_chapter_4 import (
    ALL_EXAMPLES,
    BIASES,
    LOWEST,
    MNIST,
    SCORING,
    SOURCE,
    TRAINING,
    lowest_test_error,
)
from thresher.papers.thesis_chapter_4_signals import LAYERS, computed, gaussian_works

# γ: mean, deviation and condition number of the singular values (None: inf), sparsity of the seven layers, error
_ROWS: dict[float, tuple[tuple[float, float, float | None], tuple[float, ...], float]] = {
    1e-4: ((2.46e-7, 9.90e-8, 4.66), (0.97, 0.80, 0.80, 0.80, 0.80, 0.81, 0.48), 2.66),
    1e-3: ((5.74e-4, 2.45e-4, 8.54), (0.97, 0.80, 0.80, 0.80, 0.80, 0.81, 0.48), 2.67),
    1e-2: ((4.49e-1, 2.51e-1, 5.14e1), (0.96, 0.80, 0.80, 0.80, 0.81, 0.81, 0.49), 2.67),
    1e-1: ((2.30e1, 2.56e1, 2.92e4), (0.96, 0.81, 0.82, 0.82, 0.82, 0.80, 0.45), 2.61),
    1e0: ((1.03e3, 2.61e3, 3.34e11), (0.85, 0.88, 0.99, 1.00, 1.00, 1.00, 0.91), 90.2),
    1e1: ((3.67e4, 2.64e5, None), (0.84, 0.95, 1.00, 1.00, 1.00, 1.00, 1.00), 90.2),
}
_STATISTICS = {"mean": "mean", "std": "deviation", "CN": "condition number"}
_DISCONNECTED = "disconnected"
# what training starts from, which the thesis does not say: the weights that were pruned, or new ones
_ERRORS: dict[str, dict[str, Any]] = {
    "error": {},
    "error, drawn anew": {"reinitialize": True, "reinitialize_by": "glorot"},
}
_QUICK = 2_000


def _row(variance: float) -> str:
    return f"γ = {variance:g}"


def _error(variance: float, weights: dict[str, Any]) -> dict[Budget, Work]:
    initializer = "normal" if variance == 1 else f"normal:{variance:g}"
    fields = {"initializer": initializer, "score_examples": ALL_EXAMPLES, **weights}
    return MNIST.work("mlp-7-tanh", "snip", 0.9, quick=_QUICK, quantity=lowest_test_error, **fields)


def _cells(variance: float) -> tuple[Cell, ...]:
    statistics, sparsities, error = _ROWS[variance]
    works = gaussian_works("tanh", variance)
    jacobian = (
        Cell(
            row=_row(variance),
            column=f"log10 {name}",
            printed=None if value is None else Printed(value=math.log10(value), decimals=2),
            work=computed(works, f"log10 {key}", "infinite"),
        )
        for (key, name), value in zip(_STATISTICS.items(), statistics, strict=True)
    )
    layers = (
        Cell(
            row=_row(variance),
            column=f"sparsity of layer {layer}",
            printed=Printed(value=sparsity, decimals=2),
            work=computed(works, f"sparsity fc{layer}"),
        )
        for layer, sparsity in zip(LAYERS, sparsities, strict=True)
    )
    return (
        *jacobian,
        *layers,
        Cell(row=_row(variance), column=_DISCONNECTED, work=computed(works, _DISCONNECTED)),
        *(
            Cell(
                row=_row(variance),
                column=column,
                printed=Printed(value=error, decimals=2),
                work=_error(variance, weights),
            )
            for column, weights in _ERRORS.items()
        ),
    )


TABLE = PublishedTable(
    name="thesis/table-4.1",
    title="Jacobian singular values at initialisation and the sparse networks that SNIP makes of them",
    source=SOURCE,
    page="Table 4.1, page 57",
    measured=(
        "decimal logarithms of the statistics of the singular values; fraction of weights removed by layer at 90 % in "
        "all; 1 if the pruned network is disconnected, else 0; lowest test error on MNIST, %, trained from the weights "
        "that were pruned and from new ones"
    ),
    readings=(
        "γ is the variance of the weights: with √γ for their deviation the printed means are met over eleven orders",
        "singular values of the logits' Jacobian, one a training example, pooled over the whole training set, of the "
        "network before pruning; computed in float64",
        "the printed statistics are compared by their logarithms: they span so many orders, and differ by factors "
        "from seed to seed; how many networks are behind them is not said",
        SCORING,
        TRAINING,
        LOWEST,
        "what is trained is not said. The authors' code for this chapter goes on with the weights that were pruned "
        '("error"), that of chapter 3 draws new ones ("drawn anew", here by Glorot and Bengio\'s scheme). From weights '
        "of variance 0.001 and less the network does not begin to learn in 80,000 iterations: a gradient is a product "
        "of the six other layers, and the weight decay of 0.0005 takes more off the weights than it adds. Without "
        "weight decay γ = 0.001 trains within 20,000 iterations, γ = 0.0001 not within 40,000 (one seed each). With "
        "new weights all rows but the two failures train alike, as printed, which speaks for that reading",
    ),
    departures=(
        BIASES + ": a disconnected network here still learns how frequent the classes are (88.65 % error), theirs "
        "answers with the first class (90.2 %)",
        "ours are in float64, and what is rounding there counts as zero; at γ = 1 the least singular values are below "
        "what float32 resolves, in which we find, apart from this table, 11.0 for the printed 11.52 (two draws)",
        f"quick trains for {_QUICK:,} steps",
    ),
    cells=tuple(cell for variance in _ROWS for cell in _cells(variance)),
    seeds={"smoke": 1, "quick": 3, "full": 10},
    claims=(
        Claim(
            text="the failures have condition numbers above 1e11: γ = 1 (at γ = 10 it is infinite)",
            cell=(_row(1.0), "log10 condition number"),
            above=11.0,
        ),
        Claim(
            text="pruning is robust to moderate changes: γ = 0.1 leaves layer 6 as γ = 0.01 does (within 0.05)",
            cell=(_row(0.1), "sparsity of layer 6"),
            minus=(_row(0.01), "sparsity of layer 6"),
            below=0.05,
        ),
        Claim(
            text="at γ = 1 the later layers are emptied: layer 4 against layer 2",
            cell=(_row(1.0), "sparsity of layer 4"),
            minus=(_row(1.0), "sparsity of layer 2"),
            above=0.0,
        ),
        *(
            Claim(
                text=f"drawn anew, pruning from γ = {variance:g} costs no accuracy against γ = 0.01 (within 1 %)",
                cell=(_row(variance), "error, drawn anew"),
                minus=(_row(0.01), "error, drawn anew"),
                below=1.0,
            )
            for variance in (1e-4, 1e-3, 1e-1)
        ),
    ),
)
