"""Thesis Table 4.2: initialisation, isometry and pruning of convolutional networks."""

from dataclasses import replace
from typing import Any

from thresher.papers.computation import Computation
from thresher.papers.published import Budget, Cell, Computed, NotRun, Printed, PublishedTable, Work
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
from thresher.papers.thesis_chapter_4_signals import orthogonality_score
from thresher.papers.training_protocol import TrainingProtocol

# orthogonality score and error for each of the networks
_PRINTED: dict[str, tuple[tuple[float, float], ...]] = {
    "VS-L": ((13.72, 8.16), (4.50, 11.96), (4.64, 10.43), (4.65, 9.13), (11.99, 45.08)),
    "VS-G": ((13.60, 8.18), (4.55, 11.89), (4.67, 10.60), (4.67, 9.17), (11.50, 44.56)),
    "VS-H": ((15.44, 8.36), (4.41, 12.21), (4.44, 10.63), (4.39, 9.08), (13.49, 46.62)),
    "LDI": ((13.33, 8.11), (4.43, 11.55), (4.51, 10.08), (4.57, 8.88), (11.28, 44.20)),
    "LDI-AI": ((6.43, 7.99), (2.62, 11.47), (2.79, 9.85), (2.92, 8.78), (6.62, 44.12)),
}
_MODELS = {
    "VGG16": "vgg-c",
    "ResNet32": "resnet-32-padded",
    "ResNet56": "resnet-56-padded",
    "ResNet110": "resnet-110-padded",
    "WRN16": "wrn-16-6",
}
# section 4.5.2, for the uniform target, in the order of the models
_UNIFORM = (8.25, 11.69, 11.01, 8.82)
_TINY = replace(CIFAR, data="tiny-imagenet", batch_size=200)
_QUICK_STEPS = {"ResNet32": 200}
_QUICK_EXAMPLES = 128


def _score(name: str, fields: dict[str, Any]) -> dict[Budget, Work]:
    def computed(data: str, model: str, examples: int) -> Computed:
        arguments = {"isometry": "none", **fields, "data": data, "model": model, "examples": examples}
        return Computed(Computation(orthogonality_score, tuple(arguments.items()), data=data), "orthogonality score")

    model, data = _MODELS[name], _protocol(name).data
    return {
        "smoke": computed("digits", "resnet-20", 16),
        "quick": computed(data, model, _QUICK_EXAMPLES),
        "full": computed(data, model, ALL_EXAMPLES),
    }


def _error(name: str, fields: dict[str, Any]) -> dict[Budget, Work]:
    return _protocol(name).work(
        _MODELS[name],
        "snip",
        0.9,
        quick=_QUICK_STEPS.get(name, NotRun(SHORTEN)),
        quick_score_examples=FEW_EXAMPLES,
        quantity=lowest_test_error,
        score_examples=ALL_EXAMPLES,
        **fields,
    )


def _protocol(name: str) -> TrainingProtocol:
    return _TINY if name == "WRN16" else CIFAR


def _cells(row: str, name: str, score: float, error: float) -> tuple[Cell, Cell]:
    fields = INITIALIZATIONS[row]
    return (
        Cell(row=row, column=f"{name} OS", printed=Printed(value=score, decimals=2), work=_score(name, fields)),
        Cell(row=row, column=f"{name} error", printed=Printed(value=error, decimals=2), work=_error(name, fields)),
    )


TABLE = PublishedTable(
    name="thesis/table-4.2",
    title="Orthogonality scores and errors of SNIP at 90 % by initialisation, on CIFAR-10 and Tiny-ImageNet",
    source=SOURCE,
    page="Table 4.2, page 60, and section 4.5.2",
    measured="orthogonality score (OS), the mean over layers, of the pruned network; lowest test error, %",
    readings=(
        LDI,
        "a layer's score is taken with the identity of its outputs, the larger side of a tall matrix, as the thesis "
        "has it; a convolution's is that of its flattened kernels",
        VGG,
        RESNET,
        "WRN16 has 6 times the filters and a first stride of 2, as in the authors' code; it is trained on "
        "Tiny-ImageNet in batches of 200",
        SCORING,
        TRAINING,
        LOWEST,
    ),
    departures=(
        BIASES,
        ISOMETRY,
        f"at quick {_QUICK_EXAMPLES} examples score for OS and {FEW_EXAMPLES:,} for errors; ResNet32 is trained for "
        f"{_QUICK_STEPS['ResNet32']} iterations, the other networks not at all",
    ),
    cells=(
        *(
            cell
            for row, numbers in _PRINTED.items()
            for name, (score, error) in zip(_MODELS, numbers, strict=True)
            for cell in _cells(row, name, score, error)
        ),
        *(
            Cell(
                row="LDI, uniform target",
                column=f"{name} error",
                printed=Printed(value=error, decimals=2),
                work=_error(name, {**INITIALIZATIONS["LDI"], "score_loss": "uniform"}),
            )
            for name, error in zip(_MODELS, _UNIFORM, strict=False)
        ),
    ),
    seeds={"smoke": 1, "quick": 1, "full": 5},
)
