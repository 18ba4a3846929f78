"""Thesis Figure 3.3: how many examples SNIP scores with."""

from thresher.papers.computation import Computation
from thresher.papers.first_layer_masks import TRAIN_MEAN, masks_by_batch
from thresher.papers.published import Budget, Cell, Claim, Computed, PublishedTable, Work
from thresher.papers.thesis_protocol import DEPARTURES, MNIST, READINGS, REINITIALIZE, SOURCE

_EXAMPLES = (1, 10, 100, 1_000, 10_000, 0)
_SMOKE_EXAMPLES = (1, 10, 64)
_QUICK = 5_000
_ERROR, _IMAGE = "test error, %", "correlation with the mean training image"


def _row(examples: int) -> str:
    return f"{examples:,} examples" if examples else "all examples"


def _image(examples: int) -> dict[Budget, Work]:
    def computed(data: str, counts: tuple[int, ...], count: int) -> Computed:
        arguments = (("data", data), ("sparsity", 0.9), ("examples", counts))
        return Computed(Computation(masks_by_batch, arguments, data=data), f"{TRAIN_MEAN} {count}")

    smoke = examples if examples in _SMOKE_EXAMPLES else _SMOKE_EXAMPLES[-1]
    whole = computed("mnist", _EXAMPLES, examples)
    return {"smoke": computed("digits", _SMOKE_EXAMPLES, smoke), "quick": whole, "full": whole}


def _cells(examples: int) -> tuple[Cell, Cell]:
    error = MNIST.work("lenet-300-100", "snip", 0.9, quick=_QUICK, score_examples=examples, reinitialize=REINITIALIZE)
    return (
        Cell(row=_row(examples), column=_ERROR, work=error),
        Cell(row=_row(examples), column=_IMAGE, work=_image(examples)),
    )


TABLE = PublishedTable(
    name="thesis/figure-3.3",
    title="The effect of the batch size that scores: LeNet-300-100, SNIP at 90 %",
    source=SOURCE,
    page="Figure 3.3, page 38",
    measured=(
        "test error on MNIST after the last step, %; correlation over pixels between the fraction of first-layer "
        "connections that a pixel keeps and the mean training image, in [-1, 1]"
    ),
    readings=(*READINGS[:3], *READINGS[4:], "batches of 1, 10, 100, … examples: the sizes are only in the picture"),
    departures=(
        *DEPARTURES,
        "the figure is a plot and pictures: no number can be read off it",
        f"quick trains for {_QUICK:,} steps",
    ),
    cells=tuple(cell for examples in _EXAMPLES for cell in _cells(examples)),
    seeds={"smoke": 1, "quick": 3, "full": 5},
    claims=(
        Claim(
            text="with more examples the error decreases: 100 against 1",
            cell=(_row(100), _ERROR),
            minus=(_row(1), _ERROR),
            below=0.0,
        ),
        Claim(
            text="with more examples the survivors get closer to the mean image: all against 1",
            cell=(_row(0), _IMAGE),
            minus=(_row(1), _IMAGE),
            above=0.0,
        ),
    ),
)
