"""Thesis Figure 4.8: isometry and the training of VGG16 without batch normalisation."""

from typing import Any

from thresher.papers.published import Budget, Cell, Claim, PublishedTable, Work
from thresher.papers.thesis_chapter_4 import (
    ALL_EXAMPLES,
    BIASES,
    CIFAR,
    FEW_EXAMPLES,
    ISOMETRY,
    LOWEST,
    SCORING,
    SOURCE,
    TRAINING,
    VGG,
    lowest_test_error,
    training_loss_until,
)
from thresher.papers.thesis_chapter_4_signals import EARLY

_METHODS: dict[str, dict[str, Any]] = {
    "LDI-Dense": {},
    "LDI-CS": {"method": "snip", "sparsity": 0.9},
    "LDI-CS-AIF": {"method": "snip", "sparsity": 0.9, "isometry": "frobenius"},
    "LDI-CS-AIS": {"method": "snip", "sparsity": 0.9, "isometry": "spectral"},
}
_LOSS, _ERROR = "training loss", "test error"
_QUANTITIES = {_LOSS: training_loss_until(EARLY), _ERROR: lowest_test_error}
_QUICK = 200
# faster first
_PAIRS = (
    ("LDI-CS-AIF", "LDI-CS"),
    ("LDI-CS-AIF", "LDI-Dense"),
    ("LDI-CS-AIS", "LDI-CS"),
    ("LDI-CS-AIF", "LDI-CS-AIS"),
)


def _work(method: str, column: str) -> dict[Budget, Work]:
    return CIFAR.work(
        "vgg-c-no-norm",
        quick=_QUICK,
        quick_score_examples=FEW_EXAMPLES,
        quantity=_QUANTITIES[column],
        initializer="block-orthogonal:relu",
        optimizer="sgd",
        score_examples=ALL_EXAMPLES,
        decay_every=f"{CIFAR.decay_every}it",
        **_METHODS[method],
    )


TABLE = PublishedTable(
    name="thesis/figure-4.8",
    title="Training of VGG16 without batch normalisation on CIFAR-10, pruned at 90 %",
    source=SOURCE,
    page="Figure 4.8, page 72",
    measured=f"mean training loss of the first {EARLY:,} iterations, in nats; lowest test error, %",
    readings=(
        "LDI: block-orthogonal convolutions and orthogonal linear layers of gain √2; AIF and AIS: isometry in the "
        "Frobenius and in the spectral norm, enforced on the weights alone, as equation 4.8 has it",
        "the optimizer is plain SGD, as in Figure 4.2",
        VGG,
        SCORING,
        TRAINING,
        LOWEST,
    ),
    departures=(
        "the figure is a plot: no number can be read off it",
        BIASES,
        ISOMETRY,
        f"at quick {FEW_EXAMPLES:,} examples score, and training ends after {_QUICK} iterations, at the rate it has "
        "then",
    ),
    cells=tuple(
        Cell(row=method, column=column, work=_work(method, column)) for method in _METHODS for column in _QUANTITIES
    ),
    seeds={"smoke": 1, "quick": 1, "full": 5},
    claims=tuple(
        Claim(text=f"{faster} trains faster than {slower}", cell=(faster, _LOSS), minus=(slower, _LOSS), below=0.0)
        for faster, slower in _PAIRS
    ),
)
