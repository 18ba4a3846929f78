"""Thesis Figure 4.2: pruning breaks isometry and slows training; isometry enforced on the rest repairs both."""

from thresher.papers.published import PublishedTable
from thresher.papers.thesis_chapter_4 import BIASES, ISOMETRY, NO_PRETRAINING, SCORING, SOURCE, TRAINING
from thresher.papers.thesis_chapter_4_signals import (
    EARLY,
    signal_cells,
    signal_claims,
    training_cells,
    training_claims,
)

READINGS = (
    "LDI: orthogonal weights of the mean-field gain; VS: Glorot and Bengio's scheme",
    "JSV: the singular values of the logits' Jacobian, one a training example, pooled over examples",
    f"training is compared by the mean training loss of the first {EARLY:,} iterations",
    "the optimizer is plain SGD, as the captions have it, not SGD with momentum as in appendix 4.B: with momentum 0.9 "
    "LDI-Rand starts to learn within 1,500 iterations here, where the thesis says some 4,000 (page 59), and LDI-CS-AI "
    "overtakes LDI-Dense",
    SCORING,
    TRAINING,
)
DEPARTURES = (
    "the figure is a plot: no number can be read off it",
    BIASES,
    f"LDI-Mag is left out: {NO_PRETRAINING}; its singular values are those of Figure 4.6",
    ISOMETRY,
    f"quick takes the Jacobians of 1,000 examples, and stops training after {EARLY:,} iterations",
)
MEASURED = (
    f"Jacobian singular values (JSV) before training; mean training loss of the first {EARLY:,} iterations, in nats"
)

TABLE = PublishedTable(
    name="thesis/figure-4.2",
    title="Signal propagation and training of sparse perceptrons of 7 layers on MNIST",
    source=SOURCE,
    page="Figure 4.2, page 58",
    measured=MEASURED,
    readings=READINGS,
    departures=DEPARTURES,
    cells=(*signal_cells("linear", ("mean",)), *signal_cells("tanh", ("mean",)), *training_cells("tanh")),
    seeds={"smoke": 1, "quick": 5, "full": 10},
    claims=(*signal_claims("linear"), *signal_claims("tanh"), *training_claims("tanh")),
)
