"""Cubic against JaxPruner's published value and the polynomial in exact fractions."""

from fractions import Fraction

import pytest

from thresher.schedules import Cubic


def test_jaxpruners_published_value():
    # sparsity_schedules_test.py: target 0.5, steps 0 to 20, asked at step 9, which it counts as 10 of 20 done
    assert Cubic().at(10 / 20, 0.5) == 0.4375


@pytest.mark.parametrize("numerator", range(17))
def test_the_polynomial_in_exact_fractions(numerator):
    progress, final = Fraction(numerator, 16), Fraction(7, 8)
    exact = final + (0 - final) * (1 - progress) ** 3  # Zhu and Gupta, equation 1, with s_i = 0
    assert Cubic().at(float(progress), float(final)) == pytest.approx(float(exact), abs=1e-15)


def test_most_is_removed_early():
    removed = [Cubic().at(k / 10, 0.9) - Cubic().at((k - 1) / 10, 0.9) for k in range(1, 11)]
    assert removed == sorted(removed, reverse=True)
    assert sum(removed[:3]) == pytest.approx(0.9 * (1 - 0.7**3))
