"""Thesis Table 4.5: sparsity found on one data set, trained on another."""

import dataclasses
from functools import partial
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

_QUICK = 3_000
_NAMES = {"mnist": "MNIST", "fashion-mnist": "F-MNIST"}
# data sets that are pruned and trained on: error with labels, with the uniform target, and after random pruning
_ROWS = {
    ("mnist", "mnist"): (2.42, 2.94, 15.56),
    ("fashion-mnist", "mnist"): (2.66, 2.80, 18.03),
    ("fashion-mnist", "fashion-mnist"): (11.90, 13.01, 24.72),
    ("mnist", "fashion-mnist"): (14.17, 13.39, 24.89),
}
_COLUMNS: dict[str, dict[str, Any]] = {
    "sup.": {"method": "snip"},
    "unsup.": {"method": "snip", "score_loss": "uniform"},
    "rand.": {"method": "random"},
}
# section 4.5.2
_JACOBIAN = {"jacobian-1": ("‖J‖₁", 5.03), "jacobian-2": ("‖J‖₂", 3.00)}


def _row(pruned: str, trained: str) -> str:
    return f"{_NAMES[pruned]} → {_NAMES[trained]}"


def _cell(pruned: str, trained: str, column: str, error: float, fields: dict[str, Any]) -> Cell:
    protocol = dataclasses.replace(MNIST, data=trained, initializer="orthogonal:relu")
    work = partial(protocol.work, "lenet-300-100", sparsity=0.97, quick=_QUICK, quantity=lowest_test_error)
    own = work(score_examples=ALL_EXAMPLES, **fields)
    # random pruning reads no data, and digits are the only data set that smoke may read
    if pruned != trained and fields["method"] != "random":
        own = {**work(score_examples=ALL_EXAMPLES, score_data=pruned, **fields), "smoke": own["smoke"]}
    return Cell(row=_row(pruned, trained), column=column, printed=Printed(value=error, decimals=2), work=own)


TABLE = PublishedTable(
    name="thesis/table-4.5",
    title="Transfer of sparsity between MNIST and Fashion-MNIST, LeNet at 97 %",
    source=SOURCE,
    page="Table 4.5, page 62, and section 4.5.2",
    measured="lowest test error on the data set that is trained on, %",
    readings=(
        "LeNet is LeNet-300-100, with orthogonal weights of the gain √2 of ReLU",
        "both data sets are trained as MNIST is",
        SCORING,
        TRAINING,
        LOWEST,
    ),
    departures=(
        BIASES,
        "random pruning reads no data: the two rows of a data set that is trained on differ in theirs by the draw, "
        "here they are one run",
        f"quick trains for {_QUICK:,} steps",
    ),
    cells=(
        *(
            _cell(pruned, trained, column, error, fields)
            for (pruned, trained), errors in _ROWS.items()
            for (column, fields), error in zip(_COLUMNS.items(), errors, strict=True)
        ),
        *(
            _cell("mnist", "mnist", name, error, {"method": "snip", "score_loss": loss})
            for loss, (name, error) in _JACOBIAN.items()
        ),
    ),
    seeds={"smoke": 1, "quick": 2, "full": 10},
    claims=tuple(
        Claim(
            text=f"{_row(*pair)}: random pruning degrades significantly",
            cell=(_row(*pair), "rand."),
            minus=(_row(*pair), "sup."),
            above=0.0,
        )
        for pair in _ROWS
    ),
)
