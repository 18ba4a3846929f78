import json

import pytest

from thresher.papers.published import Cell, Claim, NotRun, Printed, everywhere
from thresher.papers.reproduction import Reproduction, judged, row_of

T2 = 4.303  # Student's t, two-sided 95 %, 2 degrees of freedom, from a printed table


@pytest.fixture
def cell(toy):
    return toy.cells[0]


def claim(**bounds):
    return Claim(text="", cell=("dense", "error"), minus=("pruned", "error"), **bounds)


def rows(toy, dense, pruned):
    return [row_of(toy.cells[0], "full", dense, {}), row_of(toy.cells[1], "full", pruned, {})]


def test_the_estimate_is_the_students_interval(cell):
    found = row_of(cell, "full", {0: 79.0, 1: 80.0, 2: 81.0}, {}).estimate
    assert (found.mean, found.deviation, found.n) == (80.0, 1.0, 3)
    assert found.interval == pytest.approx((80.0 - T2 / 3**0.5, 80.0 + T2 / 3**0.5), abs=1e-3)


def test_what_was_lost_or_collapsed_is_counted_beside_the_verdict(cell):
    row = row_of(cell, "full", {0: 79.0, 2: 81.0}, {1: "NonFiniteError: NaN"}, collapsed=[0])
    assert row.verdict.words == "within (1 of 3 seeds without a number, 1 of 3 seeds collapsed)"
    nothing = row_of(cell, "full", {}, {0: "no mnist", 1: "no mnist"})
    assert (nothing.verdict.kind, nothing.verdict.words) == ("not run", "not run: no mnist")
    assert nothing.estimate is None


def test_smoke_and_what_is_not_printed_are_not_compared(toy):
    assert row_of(toy.cells[0], "smoke", {0: 80.0}, {}).verdict.kind == "not compared"
    assert row_of(toy.cells[1], "full", {0: 80.0, 1: 80.0}, {}).verdict.words == "no number is printed"
    assert row_of(toy.cells[2], "full", {}, {}).verdict.words == "not run: not here"


@pytest.mark.parametrize(
    ("bounds", "kind"),
    [
        # differences by seed: 1, 2, 3; their mean 2 ± 4.303 / sqrt(3) = 2.484
        ({"above": -0.5}, "holds"),
        ({"above": -0.48}, "not decided"),
        ({"above": 4.48}, "not decided"),
        ({"above": 4.5}, "does not hold"),
        ({"below": 4.5}, "holds"),
        ({"below": 4.48}, "not decided"),
        ({"below": -0.5}, "does not hold"),
    ],
)
def test_a_claim_is_decided_by_the_interval_of_differences(toy, bounds, kind):
    pairs = rows(toy, {0: 11.0, 1: 22.0, 2: 33.0, 9: 1000.0}, {2: 30.0, 1: 20.0, 0: 10.0, 7: -1000.0})
    found = judged(claim(**bounds), pairs, "full")
    assert (found.difference.n, found.difference.mean) == (3, 2.0)
    assert found.kind == kind


def test_a_claim_without_interval_pairs_or_meaning(toy):
    assert judged(claim(below=0.0), rows(toy, {0: 1.0}, {0: 3.0}), "full").kind == "no interval"
    assert judged(claim(below=0.0), rows(toy, {0: 1.0}, {1: 3.0}), "full").kind == "not run"
    assert judged(claim(below=0.0), rows(toy, {0: 1.0, 1: 2.0}, {0: 3.0, 1: 9.0}), "smoke").kind == "not compared"


def test_a_claim_about_one_cell_is_about_its_values(toy):
    alone = Claim(text="", cell=("dense", "error"), above=9.0)
    assert judged(alone, rows(toy, {0: 10.0, 1: 10.1, 2: 9.9}, {}), "full").kind == "holds"
    assert judged(Claim(text="", cell=("nobody", "error"), above=9.0), rows(toy, {}, {}), "full").kind == "not run"


def test_the_document_is_json_and_holds_every_value(toy):
    seen = rows(toy, {0: 79.0, 1: 80.0}, {0: 81.0})
    idle = row_of(Cell(row="a", column="b", work=everywhere(NotRun("so"))), "full", {}, {})
    found = Reproduction(toy, "full", 2, (*seen, idle), (judged(claim(below=0.0), seen, "full"),), {"mnist": "gone"})
    document = json.loads(json.dumps(found.document(), allow_nan=False))
    dense, pruned, idle = document["rows"]
    assert dense["values"] == {"0": 79.0, "1": 80.0}
    assert dense["printed"]["words"] == str(Printed(value=80, decimals=0))
    assert dense["ours"]["n"] == 2
    assert dense["runs"] == [r.name for r in (toy.cells[0].work["full"].recipe,)] + [dense["runs"][1]]
    assert "seed1" in dense["runs"][1]
    assert pruned["ours"]["interval"] is None
    assert (idle["ours"], idle["verdict"]["kind"], idle["runs"]) == (None, "not run", [])
    assert document["claims"][0]["verdict"] == "no interval"
    assert document["absent_data"] == {"mnist": "gone"}
    assert (document["budget"], document["seeds"]) == ("full", 2)
