import math
import statistics

import pytest
import torch

from thresher.core.errors import ArgumentError
from thresher.criteria import Magnitude
from thresher.experiments import Recipe, StudyRun, summarize
from thresher.experiments.sculpting import Size, sculpted, sculptures, size
from thresher.models import build
from thresher.procedures import prune


@pytest.mark.parametrize(
    ("base", "bulky"), [("resnet-20", ["resnet-20-2", "resnet-32", "resnet-8-3"]), ("mlp-3", ["mlp-7"])]
)
def test_what_is_kept_has_the_size_of_the_base(base, bulky):
    budget = sum(p.numel() for p in build(base).parameters())
    dense, *pruned = sculptures(base, bulky, "cifar-10" if base == "resnet-20" else "mnist")
    assert (dense.model, dense.method) == (base, "dense")
    assert [recipe.model for recipe in pruned] == bulky
    for recipe in pruned:
        model = build(recipe.model)
        mask = prune(model, Magnitude(), sparsity=recipe.sparsity)
        kept = sum(p.numel() for p in model.parameters()) - (mask.total - mask.kept)
        assert abs(kept - budget) <= 1
        assert recipe.score_loss == "uniform"


def test_seeds_come_outermost_and_fields_overrule():
    recipes = sculptures("mlp-3", ["mlp-5"], "mnist", 2, {"budget": "9it", "isometry": "frobenius", "method": "random"})
    assert [(r.model, r.seed) for r in recipes] == [("mlp-3", 0), ("mlp-5", 0), ("mlp-3", 1), ("mlp-5", 1)]
    assert {r.budget for r in recipes} == {"9it"}
    assert [(r.method, r.isometry) for r in recipes[:2]] == [("dense", "none"), ("random", "frobenius")]
    assert all(isinstance(r, Recipe) for r in recipes)


def test_what_speaks_of_pruning_alone_is_not_said_of_the_dense_network():
    fields = {"score_examples": 0, "engine": "sparse", "allocation": "erk", "learning_rate": 0.05, "initializer": "he"}
    dense, pruned = sculptures("mlp-3", ["mlp-5"], "mnist", fields=fields)
    assert (dense.engine, dense.score_examples, dense.allocation) == ("auto", None, "global")
    assert (pruned.engine, pruned.score_examples, pruned.allocation) == ("sparse", 0, "erk")
    assert {(r.learning_rate, r.initializer) for r in (dense, pruned)} == {(0.05, "he")}


def test_sizes_are_those_of_the_networks_that_read_the_data():
    form = {"input_shape": (1, 8, 8), "num_classes": 7}
    dense, pruned = sculptures("mlp-3", ["mlp-5"], "digits", **form)
    # 64-100-100-7 and 64-100-100-100-100-7, with biases
    small, large = 64 * 100 + 100 * 100 + 100 * 7 + 207, 64 * 100 + 3 * 100 * 100 + 100 * 7 + 407
    assert size("mlp-3", **form) == Size(small, small - 207)
    assert pruned.sparsity == pytest.approx((large - small) / (large - 407))
    assert dense.model == "mlp-3"


def runs_of(recipes, errors):
    """Finished runs with these errors; None: it failed."""
    kinds = {"collapse": {}}
    return [
        StudyRun(recipe, failure={"type": "NonFiniteError", "message": "the loss is nan"})
        if error is None
        else StudyRun(recipe, result={**kinds, "test_error_final_pct": error})
        for recipe, error in zip(recipes, errors, strict=True)
    ]


def test_each_is_held_against_the_plain_one_seed_by_seed():
    recipes = sculptures("mlp-3", ["mlp-5", "mlp-7"], "mnist", 3)
    errors = [3.0, 2.0, 4.0, 5.0, 4.1, 5.0, 4.0, 3.2, None]
    plain, five, seven = sculpted(summarize(runs_of(recipes, errors)), "mlp-3")
    assert (plain.cell.recipe.model, plain.against_base) == ("mlp-3", None)
    differences = [-1.0, -0.9, -0.8]
    assert five.against_base.difference.mean == pytest.approx(statistics.mean(differences))
    # Student's t at 97.5 % with two degrees of freedom
    half = 4.302652729749464 * statistics.stdev(differences) / math.sqrt(3)
    assert five.against_base.difference.half_width == pytest.approx(half)
    assert (five.against_base.verdict, five.against_base.against) == ("better", "mlp-3")
    assert (seven.against_base.n, seven.against_base.verdict) == (2, "no difference shown")
    with pytest.raises(ArgumentError, match="no dense runs of mlp-5"):
        sculpted(summarize(runs_of(recipes, errors)), "mlp-5")


def test_fields_that_the_sculpting_sets_itself_are_refused():
    for name, value in (("sparsity", 0.5), ("model", "mlp-3"), ("seed", 1), ("data", "digits")):
        with pytest.raises(ArgumentError, match=f"{name} follows from the networks"):
            sculptures("mlp-3", ["mlp-5"], "mnist", 1, {name: value})
    with pytest.raises(ArgumentError, match="name at least one"):
        sculptures("mlp-3", [], "mnist")


@pytest.mark.parametrize(
    ("base", "bulky", "seeds", "message"),
    [
        ("resnet-32", "resnet-20", 1, "sculpting starts from more"),
        ("resnet-20", "resnet-20", 1, "sculpting starts from more"),
        ("resnet-20", "resnet-20-2", 0, "at least one seed"),
        ("mlp-1", "lenet-300-101", 1, "did you mean"),
    ],
)
def test_what_cannot_be_sculpted_is_said(base, bulky, seeds, message):
    with pytest.raises(ArgumentError, match=message):
        sculptures(base, [bulky], "cifar-10", seeds)


def test_a_widened_resnet_has_the_filters_and_the_published_one_is_k_1():
    torch.manual_seed(0)
    wide = build("resnet-14-3")
    assert wide.conv1.weight.shape[0] == 48
    assert wide.fc.weight.shape == (10, 192)
    assert wide(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    narrow, published = build("resnet-20-1"), build("resnet-20")
    assert {n: p.shape for n, p in narrow.named_parameters()} == {n: p.shape for n, p in published.named_parameters()}
    for name in ("resnet-21-2", "resnet-20-0"):
        with pytest.raises(ArgumentError):
            build(name)
