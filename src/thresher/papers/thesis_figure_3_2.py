"""Thesis Figure 3.2: which pixels keep their connections when SNIP sees one class."""

from thresher.papers.first_layer_masks import CLASS_MEAN, DATA, SPARSITIES, works_by_class
from thresher.papers.published import Cell, Claim, PublishedTable
from thresher.papers.thesis_protocol import SOURCE

READINGS = (
    "inputs are normalised by the mean and deviation of the training pixels",
    "weights drawn by Glorot and Bengio's scheme, biases zero",
    "one batch of 100 examples of one class, drawn by the seed; means over the ten classes",
)
PICTURES = "the figure shows pictures, with no number; what they are said to show is measured as a correlation"

TABLE = PublishedTable(
    name="thesis/figure-3.2",
    title="Survivors of SNIP in the first layer of LeNet-300-100, class by class",
    source=SOURCE,
    page="Figure 3.2, page 37",
    measured=(
        "correlation over pixels between the fraction of connections that a pixel keeps and the mean image of the "
        "class, in [-1, 1]"
    ),
    readings=READINGS,
    departures=(PICTURES,),
    cells=tuple(
        Cell(row=name, column=f"{100 * sparsity:g} %", work=works_by_class(data, "snip", CLASS_MEAN, sparsity))
        for data, name in DATA.items()
        for sparsity in SPARSITIES
    ),
    seeds={"smoke": 1, "quick": 5, "full": 20},
    claims=tuple(
        Claim(
            text=f"on {name} the survivors at {100 * sparsity:g} % draw the image of the class (correlation above 0.5)",
            cell=(name, f"{100 * sparsity:g} %"),
            above=0.5,
        )
        for name in DATA.values()
        for sparsity in SPARSITIES
    ),
)
