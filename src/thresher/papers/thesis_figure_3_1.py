"""Thesis Figure 3.1: test errors of the LeNets at varying sparsity."""

from typing import Any

from thresher.papers.published import Cell, Claim, PublishedTable
from thresher.papers.thesis_protocol import DEPARTURES, MNIST, READINGS, REINITIALIZE, SOURCE

_COLUMNS = {"lenet-300-100": "LeNet-300-100", "lenet-5-caffe": "LeNet-5-Caffe"}
_QUICK = {"lenet-300-100": 5_000, "lenet-5-caffe": 2_000}
_PERCENTS = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90)
_NEGLIGIBLE = 0.5  # points of error; the largest loss that Table 3.1 calls marginal is 0.7


def _cell(model: str, percent: int) -> Cell:
    fields: dict[str, Any] = (
        {"method": "snip", "sparsity": percent / 100, "reinitialize": REINITIALIZE} if percent else {}
    )
    return Cell(row=f"{percent} %", column=_COLUMNS[model], work=MNIST.work(model, quick=_QUICK[model], **fields))


TABLE = PublishedTable(
    name="thesis/figure-3.1",
    title="Test errors of LeNets pruned at varying sparsity levels",
    source=SOURCE,
    page="Figure 3.1, page 33",
    measured="test error on MNIST after the last step, %; 0 % sparsity is the reference",
    readings=READINGS,
    departures=(
        *DEPARTURES,
        "the figure is a plot: no number can be read off it, so the statements under it are tested instead",
        "quick trains LeNet-300-100 for 5,000 steps and LeNet-5-Caffe for 2,000",
    ),
    cells=tuple(_cell(model, percent) for model in _COLUMNS for percent in _PERCENTS),
    seeds={"smoke": 1, "quick": 2, "full": 20},
    claims=tuple(
        Claim(
            text=f"{column} at {percent} % performs as well as the reference (within {_NEGLIGIBLE} points)",
            cell=(f"{percent} %", column),
            minus=("0 %", column),
            below=_NEGLIGIBLE,
        )
        for column in _COLUMNS.values()
        for percent in _PERCENTS[1:]
    ),
)
