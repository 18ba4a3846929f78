"""Thesis Table 3.2: SNIP on twelve modern architectures."""

from thresher.papers.before_and_after import before_and_after
from thresher.papers.published import NotRun, PublishedTable
from thresher.papers.thesis_protocol import CIFAR, DEPARTURES, MNIST, READINGS, SOURCE

# model: the table's name, sparsity in percent, error before and after pruning
_ROWS: dict[str, tuple[str, float, float, float]] = {
    "alexnet-s": ("AlexNet-s", 90.0, 14.12, 14.99),
    "alexnet-b": ("AlexNet-b", 90.0, 13.92, 14.50),
    "vgg-c": ("VGG-C", 95.0, 6.82, 7.27),
    "vgg-d": ("VGG-D", 95.0, 6.76, 7.09),
    "vgg-like": ("VGG-like", 97.0, 8.26, 8.00),
    "wrn-16-8": ("WRN-16-8", 95.0, 6.21, 6.63),
    "wrn-16-10": ("WRN-16-10", 95.0, 5.91, 6.43),
    "wrn-22-8": ("WRN-22-8", 95.0, 6.14, 5.85),
    "lstm-s": ("LSTM-s", 95.0, 1.88, 1.57),
    "lstm-b": ("LSTM-b", 95.0, 1.15, 1.35),
    "gru-s": ("GRU-s", 95.0, 1.87, 2.41),
    "gru-b": ("GRU-b", 95.0, 1.71, 1.52),
}
_RECURRENT = ("lstm-s", "lstm-b", "gru-s", "gru-b")
_QUICK = {"alexnet-s": 100, "alexnet-b": 100, "lstm-s": 4_000, "lstm-b": 2_000, "gru-s": 4_000, "gru-b": 2_000}
_TOO_SLOW = NotRun("one step takes seconds on two cores: budget full trains it, on CIFAR-10, for 100,000")


TABLE = PublishedTable(
    name="thesis/table-3.2",
    title="Pruning results of SNIP on various modern architectures, before and after pruning",
    source=SOURCE,
    page="Table 3.2, page 35",
    measured="test error after the last step, %: CIFAR-10 for AlexNets, VGGs and WRNs, MNIST row by row for the rest",
    readings=READINGS,
    departures=(
        *DEPARTURES,
        "quick trains the AlexNets for 100 steps, which compares nothing but that they train; the other convolutional "
        "networks not at all; the small recurrent networks for 4,000 steps and the big ones for 2,000",
        "thesis section 3.5.3 and Table 3.5 differ in the width of the AlexNets; Table 3.5 gives the printed 5.1m and "
        "8.5m parameters and is followed",
    ),
    cells=tuple(
        cell
        for model, printed in _ROWS.items()
        for cell in before_and_after(MNIST if model in _RECURRENT else CIFAR, model, printed, _QUICK, _TOO_SLOW)
    ),
    seeds={"smoke": 1, "quick": 1, "full": 3},
)
