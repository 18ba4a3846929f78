"""Thesis Figure 4.7: Figure 4.2 for ReLU and leaky ReLU."""

from thresher.papers.published import PublishedTable
from thresher.papers.thesis_chapter_4 import SOURCE
from thresher.papers.thesis_chapter_4_signals import signal_cells, signal_claims, training_cells, training_claims
from thresher.papers.thesis_figure_4_2 import DEPARTURES, MEASURED, READINGS

_ACTIVATIONS = ("relu", "leaky-relu")

TABLE = PublishedTable(
    name="thesis/figure-4.7",
    title="Signal propagation and training of sparse ReLU and leaky-ReLU perceptrons of 7 layers on MNIST",
    source=SOURCE,
    page="Figure 4.7, page 71",
    measured=MEASURED,
    readings=(*READINGS, "the gain is √2 for both; isometry is enforced on the weights alone, as equation 4.8 has it"),
    departures=DEPARTURES,
    cells=tuple(
        cell
        for activation in _ACTIVATIONS
        for cell in (*signal_cells(activation, ("mean",)), *training_cells(activation))
    ),
    seeds={"smoke": 1, "quick": 3, "full": 10},
    claims=tuple(
        claim for activation in _ACTIVATIONS for make in (signal_claims, training_claims) for claim in make(activation)
    ),
)
