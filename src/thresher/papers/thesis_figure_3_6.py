"""Thesis Figure 3.6: what survives if the derivative by the weight scores, and the weight itself does not count."""

from thresher.papers.first_layer_masks import CLASS_MEAN, DATA, INVERTED, SPARSITIES, works_by_class
from thresher.papers.published import Cell, Claim, PublishedTable
from thresher.papers.thesis_figure_3_2 import PICTURES, READINGS
from thresher.papers.thesis_protocol import SOURCE

_METHODS = {"signed-gradient": "-∂L/∂w", "gradient": "|∂L/∂w|", "snip": "SNIP"}
_WHAT = {"image of the class": CLASS_MEAN, "inverted": INVERTED}
_COLUMNS = {sparsity: f"{100 * sparsity:g} %" for sparsity in SPARSITIES}


def _row(data: str, method: str, what: str) -> str:
    return f"{DATA[data]}, {_METHODS[method]}, {what}"


def _claims(data: str) -> tuple[Claim, ...]:
    image = _row(data, "signed-gradient", "image of the class")
    sparse, dense = _COLUMNS[SPARSITIES[-1]], _COLUMNS[SPARSITIES[0]]
    inverted = tuple(
        Claim(
            text=f"on {DATA[data]} at {column} inversion changes what -∂L/∂w keeps more than what SNIP keeps",
            cell=(_row(data, "signed-gradient", "inverted"), column),
            minus=(_row(data, "snip", "inverted"), column),
            below=0.0,
        )
        for column in _COLUMNS.values()
    )
    inconsistent = Claim(
        text=f"on {DATA[data]} the pattern of -∂L/∂w at {dense} is another than at {sparse} (by a correlation of 1)",
        cell=(image, sparse),
        minus=(image, dense),
        above=1.0,
    )
    return (*inverted, inconsistent)


TABLE = PublishedTable(
    name="thesis/figure-3.6",
    title="Survivors of ∂L/∂w in the first layer of LeNet-300-100, for images and for their inversions",
    source=SOURCE,
    page="Figure 3.6, page 42",
    measured=(
        "correlation of the fraction of connections that a pixel keeps with the image of the class, or with that "
        "fraction for inverted images; SNIP's beside it"
    ),
    readings=(
        *READINGS,
        "an inverted image is normalised by the mean of the inverted images",
        "-∂L/∂w with its sign, as section 3.4.1 writes the criteria it warns of. With absolute values, which stand "
        "beside it, there is nothing to warn of: |∂L/∂w| keeps much the same pixels as SNIP",
    ),
    departures=(PICTURES, "the statement about inversion is 'in some cases'; here it is tested at every sparsity"),
    cells=tuple(
        Cell(row=_row(data, method, what), column=column, work=works_by_class(data, method, quantity, sparsity))
        for data in DATA
        for what, quantity in _WHAT.items()
        for method in _METHODS
        for sparsity, column in _COLUMNS.items()
    ),
    seeds={"smoke": 1, "quick": 5, "full": 20},
    claims=tuple(claim for data in DATA for claim in _claims(data)),
)
