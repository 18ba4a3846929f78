"""Thesis Table 3.1: SNIP and the dense reference on the two LeNets."""

from typing import Any

from thresher.papers.published import Cell, NotRun, Printed, PublishedTable, everywhere
from thresher.papers.thesis_protocol import DENSE_LENET_5_RATE, DEPARTURES, MNIST, READINGS, REINITIALIZE, SOURCE

_COLUMNS = {"lenet-300-100": "LeNet-300-100", "lenet-5-caffe": "LeNet-5-Caffe"}
_QUICK = {"lenet-300-100": 20_000, "lenet-5-caffe": 5_000}

_DENSE_RATE = {"lenet-300-100": MNIST.learning_rate, "lenet-5-caffe": DENSE_LENET_5_RATE}

# sparsity in percent and printed error; None is the dense reference
_OURS: dict[str, tuple[tuple[float | None, float], ...]] = {
    "lenet-300-100": ((None, 1.7), (95.0, 1.6), (98.0, 2.4)),
    "lenet-5-caffe": ((None, 0.9), (98.0, 0.8), (99.0, 1.1)),
}
# the table's other methods, which all prune trained networks: their sparsity and error on either network
_OTHERS: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "LWC (magnitude)": ((91.7, 1.6), (91.7, 0.8)),
    "DNS (magnitude)": ((98.2, 2.0), (99.1, 0.9)),
    "LC (magnitude)": ((99.0, 3.2), (99.0, 1.1)),
    "SWS (Bayesian)": ((95.6, 1.9), (99.5, 1.0)),
    "SVD (Bayesian)": ((98.5, 1.9), (99.6, 0.8)),
    "OBD (Hessian)": ((92.0, 2.0), (92.0, 2.7)),
    "L-OBS (Hessian)": ((98.5, 2.0), (99.0, 2.1)),
}
_NOT_HERE = NotRun("this method is not here yet")


def _ours() -> tuple[Cell, ...]:
    cells = []
    for model, entries in _OURS.items():
        for percent, error in entries:
            row = "Reference" if percent is None else f"SNIP {percent:g} %"
            fields: dict[str, Any] = (
                {"learning_rate": _DENSE_RATE[model]}
                if percent is None
                else {"method": "snip", "sparsity": percent / 100, "reinitialize": REINITIALIZE}
            )
            work = MNIST.work(model, quick=_QUICK[model], **fields)
            printed = Printed(value=error, decimals=1)
            cells.append(Cell(row=row, column=_COLUMNS[model], printed=printed, work=work))
    return tuple(cells)


def _others() -> tuple[Cell, ...]:
    return tuple(
        Cell(
            row=f"{name} {percent:g} %",
            column=column,
            printed=Printed(value=error, decimals=1),
            work=everywhere(_NOT_HERE),
        )
        for name, entries in _OTHERS.items()
        for column, (percent, error) in zip(_COLUMNS.values(), entries, strict=True)
    )


TABLE = PublishedTable(
    name="thesis/table-3.1",
    title="Pruning results on LeNets and comparisons to other approaches",
    source=SOURCE,
    page="Table 3.1, page 34",
    measured="test error on MNIST after the last step, %",
    readings=READINGS,
    departures=(
        *DEPARTURES,
        "the number of runs behind the printed errors is not given, and neither are deviations",
        "the dense LeNet-5-Caffe starts at learning rate 0.01: at 0.1 it diverges, with momentum 0.9 within 25 steps "
        "(12 of 12 draws), by plain SGD, the default of the authors' code, within 15 (9 of 12) or later (one more at "
        "step 24,835); plain SGD is stable from weights 12 % smaller, a truncated normal that is not scaled up again",
        "quick trains LeNet-300-100 for 20,000 steps and LeNet-5-Caffe for 5,000",
    ),
    cells=_ours() + _others(),
    seeds={"smoke": 1, "quick": 2, "full": 5},
)
