import pytest
import torch

from thresher.core.errors import ArgumentError
from thresher.criteria import Magnitude
from thresher.experiments import Recipe
from thresher.experiments.sculpting import sculptures
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
