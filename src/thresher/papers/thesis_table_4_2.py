"""Thesis Table 4.2: initialisation, isometry and pruning of convolutional networks."""

from typing import Any

from thresher.papers.computation import Computation
from thresher.papers.published import Budget, Cell, Computed, NotRun, Printed, PublishedTable, Work, everywhere
from thresher.papers.thesis_chapter_4 import (
    ALL_EXAMPLES,
    BIASES,
    CIFAR,
    LOWEST,
    SCORING,
    SOURCE,
    TRAINING,
    lowest_test_error,
)
from thresher.papers.thesis_chapter_4_signals import orthogonality_score

# the name in the table: the recipe's fields, and orthogonality score and error for each of the columns
_ROWS: dict[str, tuple[dict[str, Any], tuple[tuple[float, float], ...]]] = {
    "VS-L": ({"initializer": "lecun"}, ((13.72, 8.16), (4.50, 11.96), (4.64, 10.43), (4.65, 9.13), (11.99, 45.08))),
    "VS-G": ({"initializer": "glorot"}, ((13.60, 8.18), (4.55, 11.89), (4.67, 10.60), (4.67, 9.17), (11.50, 44.56))),
    "VS-H": ({"initializer": "he"}, ((15.44, 8.36), (4.41, 12.21), (4.44, 10.63), (4.39, 9.08), (13.49, 46.62))),
    "LDI": (
        {"initializer": "block-orthogonal"},
        ((13.33, 8.11), (4.43, 11.55), (4.51, 10.08), (4.57, 8.88), (11.28, 44.20)),
    ),
    "LDI-AI": (
        {"initializer": "block-orthogonal", "isometry": "frobenius"},
        ((6.43, 7.99), (2.62, 11.47), (2.79, 9.85), (2.92, 8.78), (6.62, 44.12)),
    ),
}
_MODELS = {"vgg16": "VGG16", "resnet-32": "ResNet32", "resnet-56": "ResNet56", "resnet-110": "ResNet110", None: "WRN16"}
# section 4.5.2, for the uniform target
_UNIFORM = (8.25, 11.69, 11.01, 8.82)
_QUICK_EXAMPLES = 128
_TOO_LONG = NotRun("hours on two cores: budget full trains it for 100,000 iterations")
_NO_MODEL = everywhere(NotRun("WRN16, 16 layers with 6 times the filters in the authors' code, is no model here yet"))


def _score(model: str, fields: dict[str, Any]) -> dict[Budget, Work]:
    def computed(data: str, name: str, examples: int) -> Computed:
        arguments = {"isometry": "none", **fields, "data": data, "model": name, "examples": examples}
        return Computed(Computation(orthogonality_score, tuple(arguments.items()), data=data), "orthogonality score")

    return {
        "smoke": computed("digits", "resnet-20", 16),
        "quick": computed("cifar-10", model, _QUICK_EXAMPLES),
        "full": computed("cifar-10", model, ALL_EXAMPLES),
    }


def _error(model: str, fields: dict[str, Any]) -> dict[Budget, Work]:
    fields = {"score_examples": ALL_EXAMPLES, **fields}
    return CIFAR.work(model, "snip", 0.9, quick=_TOO_LONG, quantity=lowest_test_error, **fields)


def _cells(row: str, model: str | None, score: float, error: float) -> tuple[Cell, Cell]:
    fields, name = _ROWS[row][0], _MODELS[model]
    return (
        Cell(
            row=row,
            column=f"{name} OS",
            printed=Printed(value=score, decimals=2),
            work=_NO_MODEL if model is None else _score(model, fields),
        ),
        Cell(
            row=row,
            column=f"{name} error",
            printed=Printed(value=error, decimals=2),
            work=_NO_MODEL if model is None else _error(model, fields),
        ),
    )


TABLE = PublishedTable(
    name="thesis/table-4.2",
    title="Orthogonality scores and errors of SNIP at 90 % by initialisation, on CIFAR-10 and Tiny-ImageNet",
    source=SOURCE,
    page="Table 4.2, page 60, and section 4.5.2",
    measured="orthogonality score (OS), the mean over layers, of the pruned network; lowest test error, %",
    readings=(
        "LDI: block-orthogonal convolutions and orthogonal linear layers of gain 1",
        "a layer's score is taken with the identity of its outputs, the larger side of a tall matrix, as the thesis "
        "has it; a convolution's is that of its flattened kernels",
        SCORING,
        TRAINING,
        LOWEST,
    ),
    departures=(
        BIASES,
        "isometry is enforced by projections and conjugate gradients, which come nearer to it than the thesis's "
        "gradient descent",
        f"at quick {_QUICK_EXAMPLES} examples score, and nothing is trained",
    ),
    cells=(
        *(
            cell
            for row, (_, numbers) in _ROWS.items()
            for model, (score, error) in zip(_MODELS, numbers, strict=True)
            for cell in _cells(row, model, score, error)
        ),
        *(
            Cell(
                row="LDI, uniform target",
                column=f"{_MODELS[model]} error",
                printed=Printed(value=error, decimals=2),
                work=_error(model, {"initializer": "block-orthogonal", "score_loss": "uniform"}),
            )
            for model, error in zip([name for name in _MODELS if name], _UNIFORM, strict=True)
        ),
    ),
    seeds={"smoke": 1, "quick": 1, "full": 5},
)
