"""What a network learns of labels that were shuffled: its loss and error on the training examples."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from thresher.papers.published import Cell
from thresher.papers.thesis_protocol import DENSE_LENET_5_RATE, DEPARTURES, MNIST, READINGS, REINITIALIZE

QUICK = 15_000
LOSS, ERROR = "training loss", "training error, %"
# section 3.5.6 names the reference with an L2 regularizer apart from the others: those have none
_PROTOCOL = replace(MNIST, weight_decay=0.0, learning_rate=DENSE_LENET_5_RATE)

MEASURED = (
    "mean cross-entropy and error over the training examples read since the evaluation before the last step; "
    "labels shuffled among the training examples are wrong in nine of ten"
)
FITTING_READINGS = (
    READINGS[0],
    "momentum 0.9, learning rate divided by 10 every 25,000 iterations; weight decay, 0.0005, only where the figure "
    "says L2",
    *READINGS[2:4],
    "the true labels score, as printed; the shuffled ones are one permutation of the training labels",
)
FITTING_DEPARTURES = (
    *DEPARTURES,
    f"the learning rate starts at {DENSE_LENET_5_RATE:g} at every sparsity: at 0.1 the dense network diverges",
    "the figure is a plot: no number can be read off it, so the statements about it are tested",
    f"quick trains for {QUICK:,} steps, in which a reference network may not have learnt the labels by heart yet",
)


def final_train_loss(result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Mean training loss since the evaluation before the last."""
    loss: float = rows[-1]["train_loss"]
    return loss


def final_train_error(result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Training error in percent, in training mode, since the evaluation before the last."""
    error: float = rows[-1]["train_error_pct"]
    return error


def fitting_cells(row: str, percent: float, labels: str, weight_decay: float = 0.0) -> tuple[Cell, Cell]:
    """Training loss and error of LeNet-5-Caffe, dense at 0 percent or pruned by SNIP, on `labels`."""
    fields: dict[str, Any] = {"labels": labels, "weight_decay": weight_decay}
    if percent:
        fields |= {"method": "snip", "sparsity": percent / 100, "reinitialize": REINITIALIZE}
    loss, error = (
        _PROTOCOL.work("lenet-5-caffe", quick=QUICK, quantity=quantity, **fields)
        for quantity in (final_train_loss, final_train_error)
    )
    return Cell(row=row, column=LOSS, work=loss), Cell(row=row, column=ERROR, work=error)
