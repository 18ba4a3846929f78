"""Thesis Table 4.3: initialisation and isometry under other activations."""

from thresher.papers.published import Cell, NotRun, Printed, PublishedTable, everywhere
from thresher.papers.thesis_chapter_4 import SOURCE

_REASON = "VGG16 and ResNet32 with other activations than ReLU are not here yet"
_COLUMNS = tuple(
    f"{model}, {activation}" for model in ("VGG16", "ResNet32") for activation in ("tanh", "l-relu", "selu")
)
_ROWS = {
    "VS-L": (9.07, 7.78, 8.70, 13.41, 12.04, 12.26),
    "VS-G": (9.06, 7.84, 8.82, 13.44, 12.02, 12.32),
    "VS-H": (9.99, 8.43, 9.09, 13.12, 11.66, 12.21),
    "LDI": (8.76, 7.53, 8.21, 13.22, 11.58, 11.98),
    "LDI-AI": (8.72, 7.47, 8.20, 13.14, 11.51, 11.68),
}

TABLE = PublishedTable(
    name="thesis/table-4.3",
    title="Errors of SNIP at 90 % by initialisation and activation, on CIFAR-10",
    source=SOURCE,
    page="Table 4.3, page 61",
    measured="lowest test error on CIFAR-10, %",
    readings=(),
    departures=(f"nothing is run: {_REASON}",),
    cells=tuple(
        Cell(row=row, column=column, printed=Printed(value=error, decimals=2), work=everywhere(NotRun(_REASON)))
        for row, errors in _ROWS.items()
        for column, error in zip(_COLUMNS, errors, strict=True)
    ),
    seeds={"smoke": 1, "quick": 1, "full": 1},
)
