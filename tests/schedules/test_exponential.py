"""Exponential: density ρ^{k/n}, and Linear, its additive sibling."""

from itertools import pairwise

import pytest

from thresher.schedules import Exponential, Linear


@pytest.mark.parametrize(("final", "rounds"), [(0.99, 2), (0.875, 3), (0.9, 100), (0.9999, 7)])
def test_every_round_keeps_the_same_share_of_what_is_left(final, rounds):
    densities = [1 - Exponential(rounds).at(k / rounds, final) for k in range(rounds + 1)]
    shares = [after / before for before, after in pairwise(densities)]
    assert shares == pytest.approx([(1 - final) ** (1 / rounds)] * rounds, rel=1e-9)


def test_synaptic_flows_densities_by_hand():
    # three rounds to an eighth halve three times
    assert [Exponential(3).at(k / 3, 0.875) for k in (1, 2, 3)] == pytest.approx([0.5, 0.75, 0.875], abs=1e-15)


def test_linear_removes_the_same_number_every_round():
    path = [Linear(5).at(k / 5, 0.8) for k in range(6)]
    assert path == pytest.approx([0.0, 0.16, 0.32, 0.48, 0.64, 0.8], abs=1e-15)
