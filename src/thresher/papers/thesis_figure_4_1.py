"""Thesis Figure 4.1: where SNIP prunes a linear and a tanh perceptron."""

from thresher.papers.published import Cell, Claim, PublishedTable
from thresher.papers.thesis_chapter_4 import BIASES, SCORING, SOURCE
from thresher.papers.thesis_chapter_4_signals import LAYERS, computed, gaussian_works

_ACTIVATIONS = ("linear", "tanh")

TABLE = PublishedTable(
    name="thesis/figure-4.1",
    title="Sparsity by layer of linear and tanh perceptrons of 7 layers, pruned at 90 % from N(0, 1) weights",
    source=SOURCE,
    page="Figure 4.1, page 52",
    measured="fraction of a layer's weights that are removed, in [0, 1]",
    readings=("γ = 1 is the variance of the weights", SCORING),
    departures=(BIASES, "the figure shows pictures, with no number; of its nine sparsities 90 % is measured"),
    cells=tuple(
        Cell(
            row=activation,
            column=f"layer {layer}",
            work=computed(gaussian_works(activation, 1.0), f"sparsity fc{layer}"),
        )
        for activation in _ACTIVATIONS
        for layer in LAYERS
    ),
    seeds={"smoke": 1, "quick": 3, "full": 10},
    claims=(
        Claim(
            text="in the tanh network later layers lose more: layer 6 against layer 2",
            cell=("tanh", "layer 6"),
            minus=("tanh", "layer 2"),
            above=0.0,
        ),
        Claim(
            text="in the linear network the pattern is uniform: layer 6 against layer 2 (within 0.05)",
            cell=("linear", "layer 6"),
            minus=("linear", "layer 2"),
            below=0.05,
        ),
    ),
)
