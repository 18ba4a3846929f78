"""Thesis Figure 3.5: SNIP keeps the same pixels when the images are inverted."""

from thresher.papers.first_layer_masks import DATA, INVERTED, INVERTED_OVERLAP, SPARSITIES, works_by_class
from thresher.papers.published import Cell, Claim, PublishedTable
from thresher.papers.thesis_figure_3_2 import PICTURES, READINGS
from thresher.papers.thesis_protocol import SOURCE

TABLE = PublishedTable(
    name="thesis/figure-3.5",
    title="Survivors of SNIP in the first layer of LeNet-300-100, for images and for their inversions",
    source=SOURCE,
    page="Figure 3.5, page 41",
    measured=(
        "pixels: correlation between the fractions of connections that pixels keep for the images and for their "
        "inversions; connections: those both masks keep / those either keeps"
    ),
    readings=(*READINGS, "an inverted image is normalised by the mean of the inverted images"),
    departures=(PICTURES,),
    cells=tuple(
        Cell(
            row=f"{name}, {what}",
            column=f"{100 * sparsity:g} %",
            work=works_by_class(data, "snip", quantity, sparsity),
        )
        for data, name in DATA.items()
        for what, quantity in (("pixels", INVERTED), ("connections", INVERTED_OVERLAP))
        for sparsity in SPARSITIES
    ),
    seeds={"smoke": 1, "quick": 5, "full": 20},
    claims=tuple(
        Claim(
            text=f"on {name} at {100 * sparsity:g} % the pixels that survive are the same (correlation above 0.9)",
            cell=(f"{name}, pixels", f"{100 * sparsity:g} %"),
            above=0.9,
        )
        for name in DATA.values()
        for sparsity in SPARSITIES
    ),
)
