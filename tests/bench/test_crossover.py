import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher.bench.crossover import crossover, crossovers


@given(st.floats(0.3, 3.0), st.floats(0.05, 0.5))
def test_a_power_law_is_crossed_exactly(power, density):
    """speedup = (d₀ / d)ᵖ is 1 where the density d is d₀."""
    measured = {sparsity: (density / (1 - sparsity)) ** power for sparsity in (0.1, 0.4, 0.96, 0.99)}
    assert crossover(measured) == pytest.approx(1 - density)


@pytest.mark.parametrize(
    ("speedups", "expected"),
    [
        ({0.9: 1.0, 0.95: 3.0}, 0.9),
        ({0.95: 3.0, 0.9: 1.0}, 0.9),
        ({0.8: 1.2, 0.9: 2.0}, None),
        ({0.8: 0.2, 0.9: 0.9}, None),
        ({0.8: 0.5, 0.9: 2.0, 0.95: 0.7}, None),  # fast in between only
        ({0.9: 4.0}, None),
        ({}, None),
        ({0.5: 0.5, 0.6: 2.0, 0.8: 0.5, 0.9: 2.0}, 1 - (0.2 * 0.1) ** 0.5),  # the upper of two: midway in logarithms
    ],
)
def test_from_there_on_every_measured_speedup_is_above_one(speedups, expected):
    assert crossover(speedups) == (None if expected is None else pytest.approx(expected))


def test_rows_are_told_apart_by_case_what_batch_and_contender():
    def row(sparsity, what="step", batch=128, **speedups):
        contenders = {name: {"speedup": {"median": median}} for name, median in speedups.items()}
        return {"case": "net", "what": what, "batch": batch, "sparsity": sparsity, "contenders": contenders}

    rows = [row(0.9, thresher=0.5, csr=0.1), row(0.9, "inference", 1, thresher=0.25), row(0.9, "inference", 2, csr=2.0)]
    rows += [row(0.99, thresher=2.0, csr=0.2), row(0.99, "inference", 1, thresher=1.0), row(0.99, thresher=2.0)]
    found = crossovers(rows)
    assert found == [
        {
            "case": "net",
            "what": "step",
            "batch": 128,
            "contender": "thresher",
            "sparsity": pytest.approx(1 - 0.001**0.5),
        }
    ]
