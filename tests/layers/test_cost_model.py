"""The line through measured costs, and the cheapest choice along a chain, against every choice there is."""

import itertools

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher.layers.cost_model import MARGIN, LayerCost, Link, cheapest

seconds = st.floats(0.0, 10.0)
costs = st.builds(LayerCost, seconds, seconds, st.floats(0.0, 0.1), seconds, seconds)
links = st.one_of(st.builds(Link, costs, st.integers(0, 100)), st.just(Link(None)))


def test_the_line_that_made_the_measurements_is_found():
    exact = {kept: 3e-4 + 2e-9 * kept for kept in (100, 5_000, 70_000)}
    cost = LayerCost.from_measurements(1.0, exact, 2.0, 3.0)
    assert (cost.dense, cost.arriving, cost.leaving) == (1.0, 2.0, 3.0)
    assert cost.fixed == pytest.approx(3e-4)
    assert cost.per_kept == pytest.approx(2e-9)
    assert cost.sparse(1_000_000) == pytest.approx(3e-4 + 2e-3)


@given(st.dictionaries(st.integers(1, 1000), st.floats(0.01, 10.0), min_size=1, max_size=5))
def test_no_line_that_neither_falls_nor_starts_below_zero_fits_better(sparse):
    kept, taken = numpy.array(list(sparse), float), numpy.array(list(sparse.values()))
    found = LayerCost.from_measurements(0.0, sparse)
    residuals = found.fixed + found.per_kept * kept - taken
    slopes = {"fixed": residuals.sum(), "per_kept": (residuals * kept).sum() / kept.max()}
    for name, slope in slopes.items():  # the conditions of Karush, Kuhn and Tucker
        value = getattr(found, name)
        assert value >= 0
        assert slope >= -1e-6
        assert value == 0 or slope <= 1e-6 * len(kept) * taken.max()


def brute_force(chain, margin):
    """The least cost of all choices, each added up from the definition."""

    def total(choice):
        spent, before = 0.0, None
        for link, sparse in zip(chain, choice, strict=True):
            if sparse and before is None:
                spent += link.cost.arriving / margin
            if not sparse and before is not None:
                spent += before.leaving / margin
            if sparse:
                spent += link.cost.sparse(link.kept) / margin
            elif link.cost is not None:
                spent += link.cost.dense
            before = link.cost if sparse else None
        return spent + (before.leaving / margin if before is not None else 0.0)

    forms = [(False,) if link.cost is None else (False, True) for link in chain]
    return min(map(total, itertools.product(*forms))), total


@given(st.lists(links, max_size=7), st.sampled_from([MARGIN, 1.0, 0.5]))
def test_no_choice_along_a_chain_is_cheaper(chain, margin):
    least, total = brute_force(chain, margin)
    chosen = cheapest(chain, margin)
    assert len(chosen) == len(chain)
    assert not any(sparse and link.cost is None for link, sparse in zip(chain, chosen, strict=True))
    assert total(chosen) == pytest.approx(least)


@given(st.lists(st.builds(Link, costs, st.integers(0, 100)), min_size=1, max_size=6), st.integers(0, 50))
def test_what_is_sparse_stays_so_when_more_is_removed_everywhere(chain, removed):
    fewer = [Link(link.cost, max(link.kept - removed, 0)) for link in chain]
    before = brute_force(chain, 1.0)[0]
    assert brute_force(fewer, 1.0)[1](cheapest(fewer, 1.0)) <= before + 1e-9
    one, one_fewer = chain[:1], fewer[:1]
    assert cheapest(one) <= cheapest(one_fewer)


def test_a_layer_alone_has_to_win_by_the_margin():
    def decision(sparse):
        return cheapest([Link(LayerCost(1.0, sparse, 0.0, 0.0, 0.0))])

    assert decision(MARGIN - 1e-6) == [True]
    assert decision(MARGIN) == [False]  # what makes no difference stays as it is
    assert decision(1.0) == [False]


def test_changes_of_layout_are_charged_where_the_neighbour_is_dense():
    cost = LayerCost(1.0, 0.5, 0.0, arriving=0.25, leaving=0.25)
    winner = Link(cost)
    assert cheapest([winner]) == [False]
    assert cheapest([winner, winner]) == [True, True]
    assert cheapest([winner, Link(None), winner]) == [False] * 3
    # not worth it by itself, but cheaper than a way out of the layout and back
    loser = Link(LayerCost(0.5, 0.7, 0.0, 0.25, 0.25))
    assert cheapest([winner, winner, loser, winner, winner]) == [True] * 5
    assert cheapest([loser]) == [False]


def test_costs_add_up_and_scale():
    first, second = LayerCost(1.0, 2.0, 3.0, 4.0, 5.0), LayerCost(10.0, 20.0, 30.0, 40.0, 50.0)
    assert first + second * 2 == LayerCost(21.0, 42.0, 63.0, 84.0, 105.0)
