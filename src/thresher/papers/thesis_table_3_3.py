"""Thesis Table 3.3: what the initialisation of the weights that are scored does to SNIP."""

from thresher.papers.published import Cell, Claim, Printed, PublishedTable
from thresher.papers.thesis_protocol import ADAM, DEPARTURES, ITERATIONS_MNIST, SOURCE

_INITIALIZERS = {"RN": "normal", "TN": "truncated-normal", "VS-X": "glorot", "VS-H": "he"}
_COLUMNS = {
    "lenet-300-100": "LeNet-300-100",
    "lenet-5-caffe": "LeNet-5-Caffe",
    "lstm-s": "LSTM-s",
    "gru-s": "GRU-s",
}
_QUICK = {"lenet-300-100": 5_000, "lenet-5-caffe": 1_500, "lstm-s": 1_500, "gru-s": 1_500}
_RUNS = 20
# error and deviation in the order of _COLUMNS
_PRINTED: dict[str, tuple[tuple[float, float], ...]] = {
    "RN": ((1.90, 0.09), (0.89, 0.04), (2.93, 0.20), (47.61, 20.49)),
    "TN": ((1.96, 0.11), (0.87, 0.05), (3.03, 0.17), (46.48, 22.25)),
    "VS-X": ((1.91, 0.10), (0.88, 0.07), (1.48, 0.09), (1.80, 0.10)),
    "VS-H": ((1.88, 0.10), (0.85, 0.05), (1.47, 0.08), (1.80, 0.14)),
}


def _cell(row: str, place: int, model: str) -> Cell:
    error, deviation = _PRINTED[row][place]
    return Cell(
        row=row,
        column=_COLUMNS[model],
        printed=Printed(value=error, decimals=2, deviation=deviation, num_runs=_RUNS),
        work=ADAM.work(
            model,
            "snip",
            0.9,
            quick=_QUICK[model],
            initializer=_INITIALIZERS[row],
            reinitialize=True,
            reinitialize_by="glorot",
        ),
    )


TABLE = PublishedTable(
    name="thesis/table-3.3",
    title="The effect of initialization on the saliency score, 90 % sparsity",
    source=SOURCE,
    page="Table 3.3, page 39",
    measured="test error on MNIST after the last step, %",
    readings=(
        "RN and TN draw with standard deviation 1, the default of the authors' library (a truncated draw is not "
        "widened again): the thesis gives none",
        "as the thesis says, the initialisation is that of the scored weights: whatever it is, training starts from "
        "new weights drawn by VS-X",
        f"Adam at learning rate 0.001 without weight decay, as printed; at a constant rate, for {ITERATIONS_MNIST:,} "
        "iterations of 100 examples: neither is given",
        "one batch of 100 examples scores; the error is the one after the last step",
    ),
    departures=(
        *DEPARTURES,
        "quick trains LeNet-300-100 for 5,000 steps and the other networks for 1,500",
    ),
    cells=tuple(_cell(row, place, model) for row in _PRINTED for place, model in enumerate(_COLUMNS)),
    seeds={"smoke": 1, "quick": 2, "full": _RUNS},
    claims=tuple(
        Claim(
            text=f"without variance scaling {network} is pruned far worse ({plain} against VS-X)",
            cell=(plain, network),
            minus=("VS-X", network),
            above=least,
        )
        for network, least in (("LSTM-s", 0.5), ("GRU-s", 10.0))
        for plain in ("RN", "TN")
    ),
)
