import pytest

from thresher.papers import BUDGETS, PAPERS, recipes_of
from thresher.papers.cost import cost_of

QUARTER_OF_AN_HOUR = 900


@pytest.mark.parametrize("name", PAPERS)
def test_every_budget_has_a_cost_and_quick_is_at_most_a_quarter_of_an_hour(name):
    table = PAPERS[name]
    for budget in BUDGETS:
        cost = cost_of(table.cells, budget, table.seeds[budget])
        recipes = recipes_of(table.cells, budget, table.seeds[budget])
        assert cost.runs == len(recipes)
        assert cost.steps == sum(int(recipe.budget.removesuffix("it")) for recipe in recipes)
        assert budget == "full" or cost.seconds <= QUARTER_OF_AN_HOUR


def test_what_computes_costs_a_computation_a_seed():
    figure = PAPERS["thesis/figure-3.5"]
    assert cost_of(figure.cells, "full", 7).computations == 7 * 2  # two data sets, whatever is read off them


def test_what_is_not_run_costs_nothing():
    cells = PAPERS["thesis/table-3.4"].selected(["VGG-*"])
    assert cost_of(cells, "quick", 7).seconds == 0
    assert cost_of(cells, "full", 7).runs == 7 * 6
