"""Thesis Figure 4.4: all statistics of Figure 4.2's singular values, and the training of the linear network."""

from thresher.papers.published import PublishedTable
from thresher.papers.thesis_chapter_4 import SOURCE
from thresher.papers.thesis_chapter_4_signals import (
    STATISTICS,
    signal_cells,
    signal_claims,
    training_cells,
    training_claims,
)
from thresher.papers.thesis_figure_4_2 import DEPARTURES, MEASURED, READINGS

LINEAR_RATE = 0.01

TABLE = PublishedTable(
    name="thesis/figure-4.4",
    title="Signal propagation, all statistics, and training of linear and tanh perceptrons of 7 layers",
    source=SOURCE,
    page="Figure 4.4, page 69",
    measured=MEASURED,
    readings=(
        *READINGS,
        f"the linear network learns at rate {LINEAR_RATE}: the thesis lowers the rate, and does not say to what",
    ),
    departures=DEPARTURES,
    cells=(
        *signal_cells("linear", STATISTICS),
        *signal_cells("tanh", STATISTICS),
        *training_cells("linear", learning_rate=LINEAR_RATE),
        *training_cells("tanh"),
    ),
    seeds={"smoke": 1, "quick": 3, "full": 10},
    claims=tuple(
        claim
        for activation in ("linear", "tanh")
        for make in (signal_claims, training_claims)
        for claim in make(activation)
    ),
)
