import json
import math

import pytest

from thresher.bench import SCHEMA, Heat, Plan, bench
from thresher.core.errors import ArgumentError

pytestmark = pytest.mark.usefixtures("small")


def test_heats_go_case_by_case_and_sparsity_by_sparsity():
    assert Plan(("a", "b"), (0.8, 0.9), batch=64, seed=3).heats() == [
        Heat(case, sparsity, 64, True, 3) for case in "ab" for sparsity in (0.8, 0.9)
    ]
    assert Plan(("a",), (0.8,), inference=True).heats() == [
        Heat("a", 0.8, 128, True),
        Heat("a", 0.8, 1, False),
        Heat("a", 0.8, 32, False),
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sparsities": (0.9, 1.0)}, "sparsity"),
        ({"sparsities": (90.0,)}, "percentage"),
        ({"sparsities": (math.nan,)}, "sparsity"),
        ({"batch": 0}, "batch .* got 0"),
        ({"rounds": 0}, "rounds .* got 0"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(fields, message):
    with pytest.raises(ArgumentError, match=message):
        Plan(("small-layer",), **fields)


def test_the_document_grows_group_by_group_and_is_complete_at_the_end():
    plan = Plan(("small-layer", "small-network"), (0.5, 0.9), batch=4, rounds=2, against=("csr",))
    heard, rows, complete = [], [], []
    for document in bench(plan, {"processor": "abacus"}, lambda *progress: heard.append(progress)):
        # after every group it is a whole JSON document without NaN
        again = json.loads(json.dumps(document, allow_nan=False))
        rows.append(len(again["rows"]))
        complete.append(again["complete"])
    assert rows == [3, 6, 7, 8]
    assert complete == [False, False, False, True]
    assert heard == [(done, 4, heat) for done, heat in enumerate(plan.heats())]
    assert again["schema"] == SCHEMA
    assert again["environment"] == {"processor": "abacus"}
    assert again["plan"]["sparsities"] == [0.5, 0.9]
    assert again["multiply_add_peak"] == 1e9
    assert again["versions"].keys() == {"dense", "csr", "thresher"}
    assert [(row["case"], row["what"], row["sparsity"]) for row in again["rows"][-2:]] == [
        ("small-network", "step", 0.5),
        ("small-network", "step", 0.9),
    ]
    for row in again["rows"]:
        assert row["contenders"].keys() | row["absent"].keys() == {"dense", "csr", "thresher"}
