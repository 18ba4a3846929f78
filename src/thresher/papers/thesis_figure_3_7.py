"""Thesis Figure 3.7: the sparser the network, the less it fits random labels."""

from itertools import pairwise

from thresher.papers.published import Claim, PublishedTable
from thresher.papers.random_labels import FITTING_DEPARTURES, FITTING_READINGS, LOSS, MEASURED, fitting_cells
from thresher.papers.thesis_protocol import SOURCE

_PERCENTS = (10, 30, 50, 70, 90, 99)


def _row(percent: int) -> str:
    return f"SNIP {percent} %, random labels"


TABLE = PublishedTable(
    name="thesis/figure-3.7",
    title="Fitting random labels at varying sparsity: LeNet-5-Caffe on MNIST, pruned by SNIP",
    source=SOURCE,
    page="Figure 3.7, page 43",
    measured=MEASURED,
    readings=(*FITTING_READINGS, f"sparsities {', '.join(map(str, _PERCENTS))} %: they are only in the picture"),
    departures=FITTING_DEPARTURES,
    cells=tuple(cell for percent in _PERCENTS for cell in fitting_cells(_row(percent), percent, "shuffled")),
    seeds={"smoke": 1, "quick": 1, "full": 2},
    claims=tuple(
        Claim(
            text=f"the lower the sparsity, the lower the training loss: {less} % against {more} %",
            cell=(_row(less), LOSS),
            minus=(_row(more), LOSS),
            below=0.0,
        )
        for less, more in pairwise(_PERCENTS)
    ),
)
