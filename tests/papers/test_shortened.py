import dataclasses

import pytest

from thresher.core.errors import ArgumentError
from thresher.experiments import Recipe
from thresher.papers import PAPERS, recipes_of
from thresher.papers.published import Trained
from thresher.papers.shortened import shortened, shortened_table

WHOLE = Recipe(data="mnist", model="lenet-300-100", budget="8000it", evaluate_every="1000it", decay="step")


@pytest.mark.parametrize(
    ("fields", "steps", "expected"),
    [
        ({"decay_every": "2500it"}, 800, {"decay_every": "250it"}),
        ({"milestones": ("4000it", "6000it")}, 800, {"milestones": ("400it", "600it")}),
        ({"milestones": ("4000it", "4001it")}, 800, {"milestones": ("400it",)}),  # two of one step are one
        ({"decay_every": "3000it"}, 1, {"decay_every": "1it"}),  # never none
        ({}, 800, {}),  # a quarter of the budget, whatever that is
    ],
)
def test_decays_stay_at_the_same_fractions(fields, steps, expected):
    whole = dataclasses.replace(WHOLE, **fields)
    every = f"{max(1, steps // 4)}it"
    assert shortened(whole, steps) == dataclasses.replace(whole, budget=f"{steps}it", evaluate_every=every, **expected)


def test_evaluations_are_as_far_apart_as_they_were_or_four():
    assert shortened(WHOLE, 6000).evaluate_every == "1000it"
    assert shortened(WHOLE, 400).evaluate_every == "100it"


@pytest.mark.parametrize("steps", [8000, 9000])
def test_what_is_no_longer_stays(steps):
    assert shortened(WHOLE, steps) is WHOLE


def test_a_table_is_cut_at_one_budget_and_says_so():
    table = PAPERS["thesis/table-4.2"]
    cut = shortened_table(table, "full", 500)
    assert {recipe.budget for recipe in recipes_of(cut.cells, "full", 1)} == {"500it"}
    assert recipes_of(cut.cells, "quick", 1) == recipes_of(table.cells, "quick", 1)
    for old, new in zip(table.cells, cut.cells, strict=True):
        assert (new.row, new.column, new.printed) == (old.row, old.column, old.printed)
        work = old.work["full"]
        if isinstance(work, Trained):
            assert new.work["full"].quantity is work.quantity
        else:
            assert new.work["full"] is work
    assert cut.departures[:-1] == table.departures
    assert "more than 500 steps" in cut.departures[-1]


def test_a_table_of_unequal_lengths_loses_only_what_is_longer():
    lengths = {int(r.budget[:-2]) for r in recipes_of(PAPERS["missing-the-mark/ablations"].cells, "full", 1)}
    assert min(lengths) < max(lengths)
    cut = shortened_table(PAPERS["missing-the-mark/ablations"], "full", min(lengths) + 1)
    assert {int(r.budget[:-2]) for r in recipes_of(cut.cells, "full", 1)} == {min(lengths), min(lengths) + 1}


@pytest.mark.parametrize("steps", [0, -5])
def test_no_step_at_all(steps):
    with pytest.raises(ArgumentError, match=f"at least 1: got {steps}"):
        shortened_table(PAPERS["thesis/table-4.2"], "full", steps)
