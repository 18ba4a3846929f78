"""Thesis Figure 4.8: isometry and the training of VGG16 without batch normalisation."""

from thresher.papers.published import Cell, NotRun, PublishedTable, everywhere
from thresher.papers.thesis_chapter_4 import SOURCE

_NO_MODEL = "VGG16 without batch normalisation is not here yet"

TABLE = PublishedTable(
    name="thesis/figure-4.8",
    title="Training of VGG16 without batch normalisation on CIFAR-10",
    source=SOURCE,
    page="Figure 4.8, page 72",
    measured="training loss, in nats",
    readings=(),
    departures=(f"nothing is run: {_NO_MODEL}",),
    cells=tuple(
        Cell(row=method, column="training loss", work=everywhere(NotRun(_NO_MODEL)))
        for method in ("LDI-Dense", "LDI-CS", "LDI-CS-AIF", "LDI-CS-AIS")
    ),
    seeds={"smoke": 1, "quick": 1, "full": 1},
)
