"""Thesis Figure 4.6: singular values after pruning a trained network by magnitude."""

from thresher.papers.published import Cell, NotRun, PublishedTable, everywhere
from thresher.papers.thesis_chapter_4 import NO_PRETRAINING, SOURCE
from thresher.papers.thesis_chapter_4_signals import STATISTICS, column, row

TABLE = PublishedTable(
    name="thesis/figure-4.6",
    title="Signal propagation after magnitude pruning of trained perceptrons of 7 layers",
    source=SOURCE,
    page="Figure 4.6, page 70",
    measured="Jacobian singular values (JSV) before training goes on",
    readings=(),
    departures=(f"nothing is run: {NO_PRETRAINING}",),
    cells=tuple(
        Cell(row=row(activation, "LDI-Mag"), column=column(name, 0.9), work=everywhere(NotRun(NO_PRETRAINING)))
        for activation in ("linear", "tanh")
        for name in STATISTICS
    ),
    seeds={"smoke": 1, "quick": 1, "full": 1},
)
