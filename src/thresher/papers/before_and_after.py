"""The two cells that a table has for a network: trained whole, and trained after SNIP has pruned it."""

from collections.abc import Mapping

from thresher.papers.published import Cell, NotRun, Printed
from thresher.papers.thesis_protocol import REINITIALIZE
from thresher.papers.training_protocol import TrainingProtocol


def before_and_after(
    protocol: TrainingProtocol,
    model: str,
    printed: tuple[str, float, float, float],
    quick: Mapping[str, int],
    too_slow: NotRun,
) -> tuple[Cell, Cell]:
    """`printed`: the row's name, sparsity in percent, error before and after. `quick`: steps by model, if any."""
    name, percent, before, after = printed
    steps = quick.get(model, too_slow)
    return (
        Cell(
            row=name,
            column="before",
            printed=Printed(value=before, decimals=2),
            work=protocol.work(model, quick=steps),
        ),
        Cell(
            row=name,
            column=f"after, {percent:g} %",
            printed=Printed(value=after, decimals=2),
            work=protocol.work(model, "snip", percent / 100, quick=steps, reinitialize=REINITIALIZE),
        ),
    )
