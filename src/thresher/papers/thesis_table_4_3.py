"""Thesis Table 4.3: initialisation and isometry under other activations."""

from thresher.papers.published import Budget, Cell, NotRun, Printed, PublishedTable, Work
from thresher.papers.thesis_chapter_4 import (
    ALL_EXAMPLES,
    BIASES,
    CIFAR,
    FEW_EXAMPLES,
    INITIALIZATIONS,
    ISOMETRY,
    LDI,
    LOWEST,
    RESNET,
    SCORING,
    SHORTEN,
    SOURCE,
    TRAINING,
    VGG,
    lowest_test_error,
)

_ACTIVATIONS = {"tanh": "tanh", "l-relu": "leaky-relu", "selu": "selu"}
_QUICK = 150
_MODELS = {
    **{f"VGG16, {name}": f"vgg-c-{activation}" for name, activation in _ACTIVATIONS.items()},
    **{f"ResNet32, {name}": f"resnet-32-{activation}-padded" for name, activation in _ACTIVATIONS.items()},
}
_PRINTED = {
    "VS-L": (9.07, 7.78, 8.70, 13.41, 12.04, 12.26),
    "VS-G": (9.06, 7.84, 8.82, 13.44, 12.02, 12.32),
    "VS-H": (9.99, 8.43, 9.09, 13.12, 11.66, 12.21),
    "LDI": (8.76, 7.53, 8.21, 13.22, 11.58, 11.98),
    "LDI-AI": (8.72, 7.47, 8.20, 13.14, 11.51, 11.68),
}


def _work(row: str, column: str) -> dict[Budget, Work]:
    return CIFAR.work(
        _MODELS[column],
        "snip",
        0.9,
        quick=_QUICK if column.startswith("ResNet32") else NotRun(SHORTEN),
        quick_score_examples=FEW_EXAMPLES,
        quantity=lowest_test_error,
        score_examples=ALL_EXAMPLES,
        **INITIALIZATIONS[row],
    )


TABLE = PublishedTable(
    name="thesis/table-4.3",
    title="Errors of SNIP at 90 % by initialisation and activation, on CIFAR-10",
    source=SOURCE,
    page="Table 4.3, page 61",
    measured="lowest test error on CIFAR-10, %",
    readings=(
        LDI,
        VGG,
        RESNET,
        "the activation replaces every ReLU, normalisation stays before it; leaky ReLU has TensorFlow's slope, 0.2",
        SCORING,
        TRAINING,
        LOWEST,
    ),
    departures=(
        BIASES,
        ISOMETRY,
        f"at quick {FEW_EXAMPLES:,} examples score, and ResNet32 is trained for {_QUICK} iterations, VGG16 not at all",
    ),
    cells=tuple(
        Cell(row=row, column=column, printed=Printed(value=error, decimals=2), work=_work(row, column))
        for row, errors in _PRINTED.items()
        for column, error in zip(_MODELS, errors, strict=True)
    ),
    seeds={"smoke": 1, "quick": 1, "full": 5},
)
