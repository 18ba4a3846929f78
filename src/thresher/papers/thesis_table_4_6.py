"""Thesis Table 4.6 and Figure 4.3: large networks pruned to the size of ResNet20."""

from thresher.papers.published import Budget, Cell, Claim, NotRun, Printed, PublishedTable, Work
from thresher.papers.thesis_chapter_4 import (
    ALL_EXAMPLES,
    BIASES,
    CIFAR,
    FEW_EXAMPLES,
    INITIALIZATIONS,
    LDI,
    LOWEST,
    SCORING,
    SHORTEN,
    SOURCE,
    TRAINING,
    lowest_test_error,
)

# widening, blocks of a layer, sparsity in percent, error; the base is dense
_ROWS = (
    (1, 3, 0.0, 8.046),
    (2, 3, 74.8, 7.618),
    (4, 3, 93.7, 7.630),
    (6, 3, 97.2, 7.708),
    (8, 3, 98.4, 7.836),
    (2, 2, 60.4, 7.776),
    (4, 2, 90.1, 7.876),
    (6, 2, 95.6, 7.940),
    (1, 5, 42.0, 7.912),
)
_BASE, _ERROR = (1, 3), "error"
# the wider ones take seconds a step
_QUICK, _WIDEST_AT_QUICK = 150, 4


def _row(widening: int, blocks: int) -> str:
    return f"k = {widening}, {blocks} blocks"


def _work(widening: int, blocks: int, percent: float) -> dict[Budget, Work]:
    depth = 6 * blocks + 2
    model = f"resnet-{depth}-padded" if widening == 1 else f"resnet-{depth}-{widening}-padded"
    quick = _QUICK if widening <= _WIDEST_AT_QUICK else NotRun(SHORTEN)
    if not percent:
        return CIFAR.work(model, quick=quick, quantity=lowest_test_error, initializer="he")
    return CIFAR.work(
        model,
        "snip",
        percent / 100,
        quick=quick,
        quick_score_examples=FEW_EXAMPLES,
        quantity=lowest_test_error,
        score_loss="uniform",
        score_examples=ALL_EXAMPLES,
        **INITIALIZATIONS["LDI"],
    )


TABLE = PublishedTable(
    name="thesis/table-4.6",
    title="Architecture sculpting: wider or deeper ResNets pruned without labels to the size of ResNet20",
    source=SOURCE,
    page="Table 4.6, page 68; Figure 4.3, page 63, draws the same numbers",
    measured="lowest test error on CIFAR-10, %",
    readings=(
        f"{LDI}; the uniform target scores",
        "shortcuts are padded with zeros (option A of He et al.): so, with biases on convolutions, it has the 269k "
        "parameters that the table gives ResNet20",
        SCORING,
        TRAINING,
        LOWEST,
    ),
    departures=(
        BIASES,
        "convolutions have no biases, as in He et al.",
        f"at quick {FEW_EXAMPLES:,} examples score, and networks of up to {_WIDEST_AT_QUICK} times the filters are "
        f"trained for {_QUICK} iterations",
    ),
    cells=tuple(
        Cell(
            row=_row(widening, blocks),
            column=_ERROR,
            printed=Printed(value=error, decimals=3),
            work=_work(widening, blocks, percent),
        )
        for widening, blocks, percent, error in _ROWS
    ),
    seeds={"smoke": 1, "quick": 1, "full": 5},
    claims=tuple(
        Claim(
            text=f"{_row(widening, blocks)}, pruned to the size of the base, has a lower error",
            cell=(_row(widening, blocks), _ERROR),
            minus=(_row(*_BASE), _ERROR),
            below=0.0,
        )
        for widening, blocks, percent, _ in _ROWS
        if percent
    ),
)
