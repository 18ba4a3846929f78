"""Thesis Figure 3.4: a network pruned by SNIP does not fit random labels."""

from thresher.papers.published import Claim, PublishedTable
from thresher.papers.random_labels import ERROR, FITTING_DEPARTURES, FITTING_READINGS, MEASURED, fitting_cells
from thresher.papers.thesis_protocol import SOURCE

_TRUE, _PRUNED_TRUE = "Reference, true labels", "SNIP 99 %, true labels"
_SHUFFLED, _DECAYED = "Reference, random labels", "Reference, random labels, L2"
_PRUNED_SHUFFLED = "SNIP 99 %, random labels"

TABLE = PublishedTable(
    name="thesis/figure-3.4",
    title="Fitting random labels: LeNet-5-Caffe on MNIST, dense and pruned by SNIP at 99 %",
    source=SOURCE,
    page="Figure 3.4, page 40",
    measured=MEASURED,
    readings=FITTING_READINGS,
    departures=FITTING_DEPARTURES,
    cells=(
        *fitting_cells(_TRUE, 0, "true"),
        *fitting_cells(_PRUNED_TRUE, 99, "true"),
        *fitting_cells(_SHUFFLED, 0, "shuffled"),
        *fitting_cells(_DECAYED, 0, "shuffled", weight_decay=5e-4),
        *fitting_cells(_PRUNED_SHUFFLED, 99, "shuffled"),
    ),
    seeds={"smoke": 1, "quick": 1, "full": 2},
    claims=(
        Claim(text="the reference learns the true labels (error below 1 %)", cell=(_TRUE, ERROR), below=1.0),
        Claim(text="so does the pruned network", cell=(_PRUNED_TRUE, ERROR), below=1.0),
        Claim(text="the reference fits random labels (error below 10 %)", cell=(_SHUFFLED, ERROR), below=10.0),
        Claim(text="even with an L2 regularizer (error below 10 %)", cell=(_DECAYED, ERROR), below=10.0),
        Claim(
            text="the pruned network fails to fit random labels (error above 50 %)",
            cell=(_PRUNED_SHUFFLED, ERROR),
            above=50.0,
        ),
        Claim(
            text="and its error on them is higher than the reference's, by 10 points and more",
            cell=(_PRUNED_SHUFFLED, ERROR),
            minus=(_SHUFFLED, ERROR),
            above=10.0,
        ),
    ),
)
