import math
import subprocess
import sys

import numpy
import pytest
import torch

from thresher.core.errors import ArgumentError, UnknownNameError
from thresher.experiments import Recipe
from thresher.experiments.points import Range, grid, sobol

BASE = {"data": "digits", "model": "lenet-300-100", "method": "snip", "sparsity": 0.9}


def test_a_grid_is_the_product_of_its_axes_in_order():
    points = grid(BASE, method=["snip", "random"], sparsity=(0.5, 0.9), seed=range(3))
    expected = []
    for method in ("snip", "random"):
        for sparsity in (0.5, 0.9):
            for seed in (0, 1, 2):
                expected.append(Recipe(**{**BASE, "method": method, "sparsity": sparsity, "seed": seed}))
    assert list(points) == expected


def test_the_same_recipe_is_one_point_where_it_first_stood():
    points = grid(BASE, sparsity=[0.9, 0.5, 0.9], seed=[1, 0, 1])
    assert [(point.sparsity, point.seed) for point in points] == [(0.9, 1), (0.9, 0), (0.5, 1), (0.5, 0)]
    assert grid(BASE) == (Recipe(**BASE),)


@pytest.mark.parametrize(
    ("axes", "named"),
    [
        ({"method": ["snip", "dense"], "sparsity": [0.9]}, r"method='dense', sparsity=0\.9"),
        ({"sparsity": [0.5, 1.5]}, r"sparsity=1\.5"),
        ({"model": ["lenet-300-100", "lenet"], "seed": [3]}, r"model='lenet', seed=3.*did you mean"),
        ({"holding": ["prune", "freeze"], "engine": ["sparse"]}, "holding='freeze', engine='sparse'"),
    ],
)
def test_a_combination_that_is_no_recipe_is_named(axes, named):
    with pytest.raises(ArgumentError, match=f"the combination {named}"):
        grid(BASE, **axes)


@pytest.mark.parametrize("axes", [{"seed": []}, {"method": "snip"}])
def test_an_axis_is_a_sequence(axes):
    with pytest.raises(ArgumentError, match="the axis"):
        grid(BASE, **axes)


def test_an_unknown_field_gives_the_near_miss():
    with pytest.raises(UnknownNameError, match="did you mean 'sparsity'"):
        grid(BASE, sparsty=[0.9])
    with pytest.raises(UnknownNameError, match="did you mean 'learning_rate'"):
        sobol(BASE, {"learningrate": Range(0.1, 1)}, 4, seed=0)


def test_a_log_range_spreads_its_logarithm_and_a_linear_one_itself():
    log, linear = Range(1e-3, 1e-1), Range(0.2, 0.6, "linear")
    for u in numpy.linspace(0, 1, 11):
        assert math.log10(log.at(u)) == pytest.approx(-3 + 2 * u)
        assert linear.at(u) == pytest.approx(0.2 + 0.4 * u)


def test_two_to_the_m_sobol_points_hit_every_part_of_every_range_equally_often():
    """A (0, m, 2)-net: of 2^m points, one lies in each box of 2^-k by 2^-(m-k); scrambling keeps that."""
    m = 5
    points = sobol(BASE, {"learning_rate": Range(1e-3, 1e-1), "sparsity": Range(0.5, 0.9, "linear")}, 2**m, seed=3)
    u = numpy.log10([point.learning_rate for point in points]) / 2 + 1.5
    v = (numpy.array([point.sparsity for point in points]) - 0.5) / 0.4
    for k in range(m + 1):
        boxes = numpy.floor(u * 2**k).astype(int) * 2 ** (m - k) + numpy.floor(v * 2 ** (m - k)).astype(int)
        assert sorted(boxes) == list(range(2**m))


def test_sobol_points_are_the_same_in_every_process_and_leave_chance_alone():
    state = torch.get_rng_state()
    ranges = {"learning_rate": Range(1e-3, 1e-1), "batch_size": Range(8, 64)}
    points = sobol(BASE, ranges, 8, seed=1)
    assert torch.get_rng_state().equal(state)
    assert points == sobol(BASE, ranges, 8, seed=1)
    assert set(points).isdisjoint(sobol(BASE, ranges, 8, seed=2))
    assert points[:4] == sobol(BASE, ranges, 4, seed=1)
    program = (
        "from thresher.experiments.points import Range, sobol;"
        f"print(*(p.hash for p in sobol({BASE!r}, {ranges!r}, 8, seed=1)))"
    )
    elsewhere = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert elsewhere.stdout.split() == [point.hash for point in points]


def test_whole_numbers_are_rounded_and_what_that_makes_equal_is_one_point():
    points = sobol(BASE, {"batch_size": Range(1, 4)}, 32, seed=0)
    assert [type(point.batch_size) for point in points] == [int] * len(points)
    assert {point.batch_size for point in points} == {1, 2, 3, 4}
    assert len(points) == 4
    rounds = sobol({**BASE, "schedule": "exponential"}, {"rounds": Range(2, 50)}, 4, seed=0)
    assert all(isinstance(point.rounds, int) for point in rounds)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ranges": {"method": Range(0.1, 1)}}, "method holds no number"),
        ({"ranges": {"augment": Range(0.1, 1)}}, "augment holds no number"),
        ({"ranges": {}}, "at least one range"),
        ({"n": 0}, "n=0"),
        ({"ranges": {"sparsity": Range(0.5, 2)}, "n": 32}, r"the combination sparsity=1\."),
    ],
)
def test_what_makes_no_sequence_is_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        sobol(**{"base": BASE, "ranges": {"sparsity": Range(0.5, 0.9)}, "n": 4, "seed": 0, **arguments})


@pytest.mark.parametrize(("low", "high", "scale"), [(0.0, 1, "log"), (2, 1, "log"), (1, 1, "linear"), (1, 2, "cubic")])
def test_a_range_without_extent_is_refused(low, high, scale):
    with pytest.raises(ArgumentError):
        Range(low, high, scale)
