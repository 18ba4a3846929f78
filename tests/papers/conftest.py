"""A published table small enough to run many times."""

import pytest

from thresher.experiments import Recipe
from thresher.papers.published import Cell, Claim, NotRun, Printed, PublishedTable, Trained, everywhere


def recipe(**changes):
    short = {"data": "digits", "model": "lenet-300-100", "batch_size": 32, "budget": "6it", "evaluate_every": "3it"}
    return Recipe(**{**short, "engine": "masked", **changes})


@pytest.fixture
def toy():
    """Two networks, one of them pruned, and a method that is not here."""
    absent, one = everywhere(NotRun("not here")), Printed(value=1, decimals=0)
    dense, pruned = Trained(recipe()), Trained(recipe(method="magnitude", sparsity=0.9))
    return PublishedTable(
        name="toy/table-1",
        title="A table",
        source="A. Author, 2026",
        page="Table 1",
        measured="test error, %",
        readings=("one",),
        departures=("another",),
        cells=(
            Cell(row="dense", column="error", work=everywhere(dense), printed=Printed(value=80.0, decimals=0)),
            Cell(row="pruned", column="error", work=everywhere(pruned)),
            Cell(row="other", column="error", work=absent, printed=one),
        ),
        seeds={"smoke": 1, "quick": 2, "full": 3},
        claims=(
            Claim(text="pruning costs less than 100", cell=("pruned", "error"), minus=("dense", "error"), below=100.0),
        ),
    )
