"""Thesis Table 3.4: SNIP on Tiny-ImageNet."""

from thresher.papers.published import Cell, NotRun, Printed, PublishedTable, everywhere
from thresher.papers.thesis_protocol import SOURCE

# the table's name: sparsity in percent, error before and after pruning
_ROWS: dict[str, tuple[float, float, float]] = {
    "AlexNet-s": (90.0, 62.52, 65.27),
    "AlexNet-b": (90.0, 62.76, 65.54),
    "VGG-C": (95.0, 56.49, 57.48),
    "VGG-D": (95.0, 56.85, 57.00),
    "VGG-like": (95.0, 54.86, 55.73),
}
_NO_READER = everywhere(NotRun("there is no reader for Tiny-ImageNet yet"))

TABLE = PublishedTable(
    name="thesis/table-3.4",
    title="Pruning results of SNIP on Tiny-ImageNet, before and after pruning",
    source=SOURCE,
    page="Table 3.4, page 44",
    measured="test error on Tiny-ImageNet, %",
    readings=(),
    departures=("nothing is run: there is no reader for Tiny-ImageNet yet",),
    cells=tuple(
        Cell(row=name, column=column, printed=Printed(value=error, decimals=2), work=_NO_READER)
        for name, (percent, before, after) in _ROWS.items()
        for column, error in (("before", before), (f"after, {percent:g} %", after))
    ),
    seeds={"smoke": 1, "quick": 1, "full": 1},
)
