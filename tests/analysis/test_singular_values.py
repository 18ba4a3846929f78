"""Against torch.linalg.svd of matrices that are written out."""

import math

import pytest
import torch

from thresher.analysis import singular_values as module
from thresher.analysis.singular_values import SingularValues, examples_at_once, pooled, rows_fit, singular_values
from thresher.core import generator


def linear_maps(shape, seed=0, spectrum=None):
    """Matrices [3, rows, columns], and outputs and inputs joined by them."""
    draw = torch.Generator().manual_seed(seed)
    matrices = torch.randn(3, *shape, generator=draw, dtype=torch.float64)
    if spectrum is not None:
        u, _, v = torch.linalg.svd(matrices, full_matrices=False)
        matrices = u * spectrum @ v
    inputs = torch.randn(3, shape[1], generator=draw, dtype=torch.float64, requires_grad=True)
    return matrices, (matrices @ inputs.unsqueeze(2)).squeeze(2), inputs


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (7, 3), (5, 5)])
def test_rows_give_all_singular_values_of_every_example(shape):
    matrices, outputs, inputs = linear_maps(shape)
    found = singular_values(outputs, inputs, generator(0, "test"))
    expected = torch.linalg.svdvals(matrices).flatten()
    torch.testing.assert_close(found.values, expected)
    assert found.exact
    assert found.examples == 3
    assert found.mean == pytest.approx(float(expected.mean()))
    assert found.std == pytest.approx(float(expected.std(correction=0)))
    assert found.condition_number == pytest.approx(float(expected.max() / expected.min()))


@pytest.mark.parametrize("shape", [(6, 9), (9, 6), (1, 4)])
def test_a_bidiagonalization_that_runs_to_the_end_has_all_singular_values(shape, monkeypatch):
    monkeypatch.setattr(module, "_ROWS", 0)
    matrices, outputs, inputs = linear_maps(shape)
    found = singular_values(outputs, inputs, generator(0, "test"))
    assert not found.exact
    torch.testing.assert_close(found.values.sort().values, torch.linalg.svdvals(matrices).flatten().sort().values)
    assert float(found.weights.sum()) == pytest.approx(1.0)


def test_the_estimate_is_unbiased_and_its_extremes_are_inside_the_true_ones(monkeypatch):
    monkeypatch.setattr(module, "_ROWS", 0)
    spectrum = torch.linspace(0.1, 2.0, 60, dtype=torch.float64)
    _, outputs, inputs = linear_maps((60, 80), spectrum=spectrum)
    draws = generator(0, "test")
    found = [singular_values(outputs, inputs, draws) for _ in range(40)]
    means = torch.tensor([one.mean for one in found])
    # 120 probes of 60 values of deviation 0.55: one mean is off by 0.55 √(2/62 / 3) at most
    assert float(means.mean()) == pytest.approx(float(spectrum.mean()), abs=4 * 0.55 * math.sqrt(2 / 62 / 120))
    assert all(one.max <= 2.0 + 1e-9 and one.min >= 0.1 - 1e-9 for one in found)
    assert pooled(found).max == pytest.approx(2.0, rel=1e-3)


def test_a_map_of_one_singular_value_stops_at_once(monkeypatch):
    monkeypatch.setattr(module, "_ROWS", 0)
    _, outputs, inputs = linear_maps((40, 50), spectrum=torch.full((40,), 3.0, dtype=torch.float64))
    found = singular_values(outputs, inputs, generator(0, "test"))
    assert found.mean == pytest.approx(3.0)
    assert found.std == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("rows", [512, 0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_rounding_beside_the_largest_is_zero(rows, dtype, monkeypatch):
    monkeypatch.setattr(module, "_ROWS", rows)
    tiny = 100 * torch.finfo(dtype).eps  # some way above rounding
    spectrum = torch.tensor([3.0, 1.0, tiny, 0.0, 0.0], dtype=torch.float64)
    matrices, _, _ = linear_maps((5, 9), spectrum=spectrum)
    inputs = torch.randn(3, 9, dtype=dtype, requires_grad=True)
    found = singular_values((matrices.to(dtype) @ inputs.unsqueeze(2)).squeeze(2), inputs, generator(0, "test"))
    assert found.min == 0.0
    assert found.condition_number == math.inf
    assert found.max == pytest.approx(3.0, rel=1e-5)
    values = found.values.sort(descending=True).values
    assert int((values > 0).sum()) >= 9  # three an example: the third is small, and no rounding


def test_parts_weigh_by_their_examples():
    one = SingularValues(torch.tensor([1.0, 3.0]).double(), torch.tensor([0.5, 0.5]).double(), 1, True)
    three = SingularValues(torch.tensor([4.0]).double(), torch.ones(1).double(), 3, False)
    both = pooled([one, three])
    assert both.mean == pytest.approx((2 + 3 * 4) / 4)
    assert both.examples == 4
    assert not both.exact


def test_a_zero_makes_the_condition_number_infinite():
    values = torch.tensor([2.0, 0.0], dtype=torch.float64)
    assert SingularValues(values, torch.full((2,), 0.5, dtype=torch.float64), 1, True).condition_number == math.inf


def test_what_is_held_at_once_stays_within_its_bytes():
    assert rows_fit(10, 784)
    assert not rows_fit(10_000, 784)
    for shape in ((10, 784), (1000, 30_000), (10_000, 150_528)):
        each = shape[0] * shape[1] if rows_fit(*shape) else module._STEPS * sum(shape)
        at_once = examples_at_once(*shape)
        assert at_once == 1 or 8 * each * at_once <= module._BYTES
        assert at_once == 1 or 8 * each * (at_once + 1) > module._BYTES
