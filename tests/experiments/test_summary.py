import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from thresher.core.errors import ArgumentError
from thresher.experiments import Recipe
from thresher.experiments.study_run import StudyRun
from thresher.experiments.summary import MEASURES, summarize

BASE = {"data": "digits", "model": "lenet-300-100"}
MEASURE = "test_error_final_pct"


def recipe(method, sparsity=0.0, seed=0, **fields):
    return Recipe(**BASE | {"method": method, "sparsity": sparsity, "seed": seed} | fields)


def finished(one, error, layers=(), **errors):
    cut = {"collapsed_layers": list(layers), "disconnected": bool(layers)}
    return StudyRun(one, dict.fromkeys(MEASURES, error) | errors | {"collapse": cut})


def study(errors):
    """Runs from (method, sparsity) → errors of seeds 0, 1, …"""
    return [
        finished(recipe(method, sparsity, seed), error)
        for (method, sparsity), seeds in errors.items()
        for seed, error in enumerate(seeds)
    ]


@pytest.fixture
def drawn():
    """A grid of methods and sparsities with five seeds that share an effect."""
    source = np.random.default_rng(0)
    common = source.normal(0.0, 1.0, 5)
    level = {"dense": 5.0, "random": 20.0, "snip": 8.0, "magnitude": 8.3}
    cells = [("dense", 0.0), *itertools.product(("random", "snip", "magnitude"), (0.5, 0.9))]
    return {cell: level[cell[0]] + 3 * cell[1] + common + source.normal(0.0, 0.3, 5) for cell in cells}


def cell_of(summary, method, sparsity):
    (found,) = (c for c in summary.cells if (c.recipe.method, c.recipe.sparsity) == (method, sparsity))
    return found


def test_a_cell_is_what_differs_in_the_seed_only(drawn):
    runs = study(drawn)
    np.random.default_rng(1).shuffle(runs)
    summary = summarize(runs)
    assert len(summary.blocks) == 1
    assert len(summary.cells) == len(drawn)
    assert {run.recipe for run in summary.runs} == {run.recipe for run in runs}
    for (method, sparsity), errors in drawn.items():
        cell = cell_of(summary, method, sparsity)
        assert [run.recipe.seed for run in cell.runs] == [0, 1, 2, 3, 4]
        assert cell.error.n == 5
        assert cell.error.mean == pytest.approx(errors.mean())
        assert cell.error.deviation == pytest.approx(errors.std(ddof=1))


def test_differences_are_paired_with_dense_and_with_random_of_the_same_sparsity(drawn):
    summary = summarize(study(drawn))
    for (method, sparsity), errors in drawn.items():
        cell = cell_of(summary, method, sparsity)
        for name, found in (("dense", cell.against_dense), ("random", cell.against_random)):
            if method == name or (name == "random" and not sparsity):
                assert found is None
                continue
            others = drawn[name, 0.0 if name == "dense" else sparsity]
            assert found.difference.mean == pytest.approx((errors - others).mean())
            assert found.difference.deviation == pytest.approx((errors - others).std(ddof=1))
    assert cell_of(summary, "snip", 0.9).against_random.verdict == "better"
    assert cell_of(summary, "snip", 0.9).against_dense.verdict == "worse"
    assert summary.num_comparisons == 6 + 4


def test_bold_is_what_is_not_shown_to_be_worse_than_the_lowest_mean(drawn):
    summary = summarize(study(drawn))
    for sparsity in (0.5, 0.9):
        assert not cell_of(summary, "random", sparsity).among_best
        for method in ("snip", "magnitude"):
            other = "magnitude" if method == "snip" else "snip"
            gap = drawn[method, sparsity] - drawn[other, sparsity]
            half = 2.776 * gap.std(ddof=1) / math.sqrt(5)
            assert cell_of(summary, method, sparsity).among_best == (gap.mean() - half <= 0)


def test_a_winner_inside_the_noise_is_none():
    summary = summarize(study({("snip", 0.9): [3.0, 5.0, 4.0], ("random", 0.9): [4.0, 4.5, 4.2]}))
    assert [cell.against_random and cell.against_random.verdict for cell in summary.cells] == [
        "no difference shown",
        None,
    ]
    assert not any(cell.among_best for cell in summary.cells)


def test_one_seed_wins_nothing():
    summary = summarize(study({("snip", 0.9): [1.0], ("random", 0.9): [90.0]}))
    assert not any(cell.among_best for cell in summary.cells)
    assert summary.num_comparisons == 0


def test_everything_that_went_wrong_is_counted_and_nothing_dropped():
    snip = [recipe("snip", 0.99, seed) for seed in range(7)]
    runs = [
        finished(snip[0], 10.0),
        finished(snip[1], 90.0, layers=["fc2.weight"]),
        finished(snip[2], 90.0),
        finished(snip[3], None),
        StudyRun(snip[4], failure={"type": "NonFiniteError", "message": "nan"}),
        StudyRun(snip[5], failure={"type": "CollapseError", "message": "empty"}),
        StudyRun(snip[6]),
    ]
    (cell,) = summarize(runs).cells
    assert len(cell.runs) == 7
    assert (cell.num_failed, cell.num_diverged, cell.num_not_run, cell.num_unmeasured) == (2, 1, 1, 1)
    assert (cell.num_collapsed, cell.num_at_chance) == (1, 2)
    assert cell.error.n + cell.num_without_error == 7
    assert cell.error.mean == pytest.approx(190 / 3)


def test_a_study_of_which_nothing_is_run_is_one_without_errors():
    (cell,) = summarize([StudyRun(recipe("snip", 0.9, seed)) for seed in range(3)]).cells
    assert (cell.error, cell.num_not_run, cell.among_best) == (None, 3, False)


@pytest.mark.parametrize("measure", MEASURES)
def test_each_measure_is_a_field_of_the_result(measure):
    errors = dict(zip(MEASURES, (1.0, 2.0, 3.0), strict=True))
    (cell,) = summarize([finished(recipe("dense"), 0.0, **errors)], measure).cells
    assert cell.error.mean == errors[measure]


def test_models_and_data_sets_are_blocks_in_order():
    places = [("mnist", "lenet-300-100"), ("digits", "lenet-300-100"), ("digits", "mlp-3")]
    runs = [finished(recipe("snip", 0.9, data=data, model=model), 3.0) for data, model in places]
    summary = summarize(runs)
    assert [(block.data, block.model) for block in summary.blocks] == places
    assert all(block.sparsities == (0.9,) and block.labels == ("snip",) for block in summary.blocks)


def test_labels_name_what_varies_for_a_method_and_tell_all_cells_apart():
    fields = [{}, {"reinitialize": True}, {"allocation": "uniform"}]
    recipes = [recipe("snip", s, **f) for s in (0.5, 0.9) for f in fields]
    block = summarize([finished(one, 3.0) for one in [*recipes, recipe("random", 0.9), recipe("dense")]]).blocks[0]
    assert block.labels[0] == "dense"
    assert set(block.labels) == {
        "dense",
        "random",
        "snip, allocation global, reinitialize false",
        "snip, allocation global, reinitialize true",
        "snip, allocation uniform, reinitialize false",
    }
    places = [(cell.label, cell.recipe.sparsity) for cell in block.cells]
    assert len(set(places)) == len(places)
    assert block.cell("random", 0.9).recipe.method == "random"
    assert block.cell("random", 0.5) is None


def test_the_baseline_is_trained_alike():
    fast, slow = {"learning_rate": 0.1}, {"learning_rate": 0.01}
    errors = [("dense", 0.0, fast, 1.0), ("dense", 0.0, slow, 2.0), ("snip", 0.9, slow, 10.0)]
    runs = [
        finished(recipe(method, sparsity, seed, **fields), error + seed**2)
        for method, sparsity, fields, error in errors
        for seed in range(3)
    ]
    pair = cell_of(summarize(runs), "snip", 0.9).against_dense
    assert pair.difference.mean == 8.0
    assert pair.against == "dense, learning_rate 0.01"
    alone = [run for run in runs if run.recipe.learning_rate == 0.01 or run.recipe.method != "dense"]
    stranger = [run for run in runs if run.recipe.method == "dense" and run.recipe.learning_rate == 0.1]
    snip = [run for run in runs if run.recipe.method == "snip"]
    assert cell_of(summarize(alone), "snip", 0.9).against_dense.difference.mean == 8.0
    assert cell_of(summarize([*stranger, *snip]), "snip", 0.9).against_dense is None


def test_of_several_random_baselines_the_most_alike_is_taken():
    kinds = {"global": 20.0, "uniform": 30.0}
    runs = [finished(recipe("random", 0.9, allocation=kind), error) for kind, error in kinds.items()]
    runs += [finished(recipe("snip", 0.9, allocation=kind), 10.0) for kind in kinds]
    for cell in summarize(runs).cells:
        if cell.recipe.method == "snip":
            assert cell.against_random.difference.mean == 10.0 - kinds[cell.recipe.allocation]


def test_random_pruning_in_another_pattern_is_no_baseline():
    runs = [finished(recipe("random", 0.5), 20.0), finished(recipe("snip", 0.5, pattern="2:4"), 10.0)]
    assert cell_of(summarize(runs), "snip", 0.5).against_random is None


def test_a_pair_needs_both_runs():
    runs = study({("random", 0.9): [20.0, 21.0, 22.0], ("snip", 0.9): [10.0, 11.5]})
    runs.append(StudyRun(recipe("snip", 0.9, 2), failure={"type": "DataError", "message": ""}))
    pair = cell_of(summarize(runs), "snip", 0.9).against_random
    assert (pair.n, pair.difference.mean) == (2, -9.75)


def test_no_run_a_recipe_twice_and_an_unknown_measure_are_refused(drawn):
    with pytest.raises(ArgumentError, match="no run to summarize"):
        summarize([])
    runs = study(drawn)
    with pytest.raises(ArgumentError, match="comes twice"):
        summarize([*runs, replace(runs[3])])
    with pytest.raises(ArgumentError, match="measure is one of"):
        summarize(runs, "test_error_pct")
