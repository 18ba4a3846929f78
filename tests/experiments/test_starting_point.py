"""The starting point of a recipe is the one that its run prunes and trains from."""

import dataclasses

import pytest
import torch
from safetensors.torch import load_file

from thresher.core import Mask
from thresher.core.errors import ArgumentError
from thresher.data import Dataset, load, split, with_shuffled_labels
from thresher.experiments import Recipe, run
from thresher.experiments import starting_point as module
from thresher.experiments.method import SCORE_LOSSES
from thresher.experiments.starting_point import chosen_mask, initialized, scored_splits, starting_point


@pytest.mark.parametrize(
    "words",
    [
        {"method": "snip", "sparsity": 0.9},
        {"method": "random", "sparsity": 0.9, "seed": 3},
        {"method": "magnitude", "sparsity": 0.5, "perturb": "shuffle"},
        {"method": "snip", "sparsity": 0.9, "reinitialize": True, "perturb": "invert"},
        {"method": "snip", "sparsity": 0.9, "score_loss": "uniform", "isometry": "frobenius"},
        {"method": "snip", "sparsity": 0.9, "score_loss": "jacobian-2"},
        {},
    ],
    ids=["snip", "random", "shuffled", "inverted, drawn anew", "no labels, isometry", "no labels", "dense"],
)
def test_it_is_what_a_run_starts_from(words, tmp_path):
    recipe = Recipe(data="digits", model="lenet-300-100", budget="1it", learning_rate=1e-9, weight_decay=0.0, **words)
    splits = load("digits", validation=recipe.validation, seed=recipe.seed)
    model, mask = starting_point(recipe, splits)
    run(recipe, tmp_path)
    assert mask == Mask.load(tmp_path / "mask.safetensors")
    mask.apply_(model)
    for name, value in load_file(tmp_path / "model.safetensors").items():
        torch.testing.assert_close(value, model.state_dict()[name], rtol=0, atol=1e-6)


def test_a_mask_that_is_given_is_kept():
    recipe = Recipe(data="digits", model="lenet-300-100", method="snip", sparsity=0.9)
    splits = load("digits")
    _, found = starting_point(recipe, splits)
    _, again = starting_point(recipe, splits, found)
    assert again is found


def test_isometry_makes_the_layers_orthogonal_as_far_as_they_can_be():
    recipe = Recipe(data="digits", model="lenet-300-100", method="random", sparsity=0.7, isometry="frobenius")
    splits = load("digits")
    before, mask = starting_point(dataclasses.replace(recipe, isometry="none"), splits)
    model, same = starting_point(recipe, splits)
    assert mask == same
    for name, keep in mask.items():
        weights = model.state_dict()[name].double()
        values = torch.linalg.svdvals(weights)
        assert not weights[~keep].any()
        assert float((values - 1).abs().max()) < 0.05
        plain = torch.linalg.svdvals(before.state_dict()[name].double() * keep)
        assert float((plain - 1).abs().max()) > 0.3


def test_labels_decide_the_mask_only_where_they_are_read():
    splits = load("digits")
    shuffled = with_shuffled_labels(splits, seed=1)
    for loss in SCORE_LOSSES:
        recipe = Recipe(data="digits", model="lenet-300-100", method="snip", sparsity=0.9, score_loss=loss)
        model = initialized(recipe, splits)
        same = chosen_mask(recipe, model, splits) == chosen_mask(recipe, model, shuffled)
        assert same == (loss != "labels"), loss


def test_sparsity_is_transferred_between_data_of_one_shape_only():
    recipe = Recipe(data="digits", model="lenet-300-100", method="snip", sparsity=0.9, score_data="cifar-10")
    splits = load("digits")
    assert scored_splits(dataclasses.replace(recipe, score_data="digits"), splits) is splits
    other = dataclasses.replace(splits, train=splits.train.subset(torch.arange(200, 700)))
    model, elsewhere = starting_point(recipe, splits, scored=other)
    assert elsewhere == chosen_mask(recipe, model, other)
    assert elsewhere != chosen_mask(recipe, model, splits)


def test_data_of_another_shape_is_refused(monkeypatch):
    recipe = Recipe(data="digits", model="lenet-300-100", method="snip", sparsity=0.9, score_data="mnist")
    splits = load("digits")
    wide = Dataset("wide", torch.zeros(20, 1, 9, 9, dtype=torch.uint8), torch.arange(20) % 10, 10)
    monkeypatch.setattr(module, "load", lambda *_, **__: split(wide, wide))
    with pytest.raises(ArgumentError, match=r"from mnist .*9, 9.* to digits .*8, 8"):
        scored_splits(recipe, splits)
