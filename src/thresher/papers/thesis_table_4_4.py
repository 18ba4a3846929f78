"""Thesis Table 4.4: pruning perceptrons without labels."""

from typing import Any

from thresher.papers.published import Cell, Claim, Printed, PublishedTable
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

_DEPTHS = (3, 5, 7)
_QUICK = 3_000
# the loss that scores: its name in the table, and the error at each depth
_ROWS: dict[str, tuple[str, tuple[float, float, float]]] = {
    "labels": ("GT", (2.46, 2.43, 2.61)),
    "prediction-raw": ("Pred. (raw)", (3.31, 3.38, 3.60)),
    "prediction-softmax": ("Pred. (softmax)", (3.11, 3.37, 3.56)),
    "uniform": ("Unif.", (2.77, 2.77, 2.94)),
}


def _cell(loss: str, depth: int, error: float) -> Cell:
    fields: dict[str, Any] = {"score_loss": loss, "score_examples": ALL_EXAMPLES}
    work = MNIST.work(f"mlp-{depth}-tanh", "snip", 0.9, quick=_QUICK, quantity=lowest_test_error, **fields)
    return Cell(row=_ROWS[loss][0], column=f"K={depth}", printed=Printed(value=error, decimals=2), work=work)


def _claim(higher: str, lower: str, depth: int) -> Claim:
    column = f"K={depth}"
    text = f"{column}: {higher} is worse than {lower}"
    return Claim(text=text, cell=(higher, column), minus=(lower, column), above=0.0)


TABLE = PublishedTable(
    name="thesis/table-4.4",
    title="Unsupervised pruning of K-layer perceptrons at 90 %",
    source=SOURCE,
    page="Table 4.4, page 61",
    measured="lowest test error on MNIST, %",
    readings=(
        "the activation is tanh, which the table does not say; width 100",
        "Pred.: what is averaged, and against what it is held, is not said. Softmax: the entropy of the batch's mean "
        "softmax, with which the printed errors come out; with that mean as a constant target of every prediction they "
        "are those of labels (2.40, 2.39, 2.46; five seeds), with a target that is differentiated too in between (2.63 "
        "at K = 5; one seed). Raw: the cross-entropy to the batch's mean output, held constant",
        SCORING,
        TRAINING,
        LOWEST,
    ),
    departures=(BIASES, f"quick trains for {_QUICK:,} steps"),
    cells=tuple(
        _cell(loss, depth, error)
        for loss, (_, errors) in _ROWS.items()
        for depth, error in zip(_DEPTHS, errors, strict=True)
    ),
    seeds={"smoke": 1, "quick": 3, "full": 10},
    claims=tuple(_claim(*pair, depth) for depth in _DEPTHS for pair in (("Unif.", "GT"), ("Pred. (softmax)", "Unif."))),
)
