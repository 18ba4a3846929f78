"""Thesis Figure 4.5: random and magnitude pruning train for much longer."""

from thresher.papers.published import Cell, Claim, NotRun, PublishedTable, everywhere
from thresher.papers.thesis_chapter_4 import BIASES, NO_PRETRAINING, SCORING, SOURCE, TRAINING
from thresher.papers.thesis_chapter_4_signals import LEARNING_CURVE, row, training_cells

_LONG = 10_000

TABLE = PublishedTable(
    name="thesis/figure-4.5",
    title="Extended training of tanh perceptrons of 7 layers after random and magnitude pruning",
    source=SOURCE,
    page="Figure 4.5, page 70",
    measured=f"mean training loss of the first {_LONG:,} iterations, in nats",
    readings=(
        SCORING,
        TRAINING,
        "the optimizer is plain SGD, as for Figure 4.2",
        "random pruning is said to reach a loss near zero after some 10,000 iterations (page 59)",
    ),
    departures=(
        "the figure is a plot: no number can be read off it",
        BIASES,
        f"quick stops after {_LONG:,} iterations",
    ),
    cells=(
        *training_cells("tanh", methods=("LDI-CS", "LDI-Rand"), early=_LONG),
        Cell(row=row("tanh", "LDI-Mag"), column=LEARNING_CURVE, work=everywhere(NotRun(NO_PRETRAINING))),
    ),
    seeds={"smoke": 1, "quick": 5, "full": 10},
    claims=(
        Claim(
            text="random pruning takes much longer to train than connection sensitivity",
            cell=(row("tanh", "LDI-Rand"), LEARNING_CURVE),
            minus=(row("tanh", "LDI-CS"), LEARNING_CURVE),
            above=0.0,
        ),
    ),
)
