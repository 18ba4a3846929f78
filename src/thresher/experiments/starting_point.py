"""The network that a recipe's training starts from: its weights, before any is removed, and its mask."""

from pathlib import Path

import torch

from thresher.core.batch import Data
from thresher.core.errors import ArgumentError
from thresher.core.mask import Mask
from thresher.core.prunable import prunable
from thresher.core.seeds import generator
from thresher.criteria import Inverted
from thresher.criteria.unlabelled import JacobianNorm, without_labels
from thresher.data import Splits, load
from thresher.experiments.method import SCORE_LOSSES, allocation_of, criterion_of, pattern_of, schedule_of
from thresher.experiments.recipe import Recipe
from thresher.experiments.scoring import scoring_batches
from thresher.initializers import initializer_of
from thresher.models import ImageClassifier, build
from thresher.procedures import prune
from thresher.procedures.approximate_isometry import approximate_isometry_


def initialized(recipe: Recipe, splits: Splits, device: torch.device | str = "cpu") -> ImageClassifier:
    """The recipe's model with the weights that are pruned."""
    model = build(recipe.model, num_classes=splits.num_classes, input_shape=splits.input_shape, seed=recipe.seed)
    initializer_of(recipe.initializer).initialize_(model, generator(recipe.seed, "initialization"))
    return model.to(device)


def scored_splits(recipe: Recipe, splits: Splits, data_dir: Path | str | None = None, download: bool = True) -> Splits:
    """What the recipe's criterion reads: `splits` themselves, or those of `score_data`.

    Raises ArgumentError if its images or number of classes are others, and what reading data raises.
    """
    if recipe.score_data in (None, recipe.data):
        return splits
    scored = load(recipe.score_data, data_dir, validation=recipe.validation, seed=recipe.seed, download=download)
    ours, theirs = ((s.input_shape, s.num_classes) for s in (splits, scored))
    if ours != theirs:
        raise ArgumentError(
            f"sparsity cannot be transferred from {recipe.score_data} {theirs} to {recipe.data} {ours}: shape of an "
            "input and number of classes must be the same"
        )
    return scored


def chosen_mask(recipe: Recipe, model: ImageClassifier, splits: Splits) -> Mask:
    """The mask that the recipe's method finds for `model` on `splits`, all kept where the method is 'dense'.

    Raises what reading data and pruning raise. Cost: that of the method.
    """
    if recipe.method == "dense":
        return Mask.full(prunable(model))
    loss = SCORE_LOSSES[recipe.score_loss]
    criterion = criterion_of(recipe.method, loss, generator(recipe.seed, "random-pruning"))
    if recipe.perturb == "invert":
        criterion = Inverted(criterion)
    device = next(model.parameters()).device
    examples = scoring_batches(splits, recipe.batch_size, recipe.score_examples, recipe.seed, device)
    data: Data = without_labels(examples) if isinstance(loss, JacobianNorm) else examples
    mask = prune(
        model,
        criterion,
        data=data if criterion.reads_data else None,
        sparsity=recipe.sparsity,
        allocation=allocation_of(recipe.allocation),
        pattern=pattern_of(recipe.pattern),
        schedule=schedule_of(recipe.method, recipe.schedule, recipe.rounds),
        protect=recipe.protect,
        on_collapse=recipe.on_collapse,
    )
    return mask.shuffled(generator(recipe.seed, "mask-shuffle")) if recipe.perturb == "shuffle" else mask


def made_ready_(recipe: Recipe, model: ImageClassifier, mask: Mask) -> None:
    """Give `model` the weights that are trained, where the recipe wants others than those that were pruned.

    With an isometry the removed weights are zero afterwards, those of no layer else are touched.
    """
    if recipe.reinitialize:
        initializer_of(recipe.reinitialize_by or recipe.initializer).initialize_(
            model, generator(recipe.seed, "reinitialization")
        )
    if recipe.isometry != "none":
        approximate_isometry_(model, mask, norm=recipe.isometry)


def starting_point(
    recipe: Recipe,
    splits: Splits,
    mask: Mask | None = None,
    scored: Splits | None = None,
    device: torch.device | str = "cpu",
) -> tuple[ImageClassifier, Mask]:
    """The model with all its weights as training starts from them, and `mask` or the one that the recipe finds.

    It is found on `scored`, by default `splits`; see `scored_splits`.

    >>> from thresher.data import load
    >>> recipe = Recipe(data="digits", model="lenet-300-100", method="magnitude", sparsity=0.9)
    >>> model, mask = starting_point(recipe, load("digits"))
    >>> round(mask.sparsity, 4), bool((model.fc1.weight[~mask["fc1.weight"]] != 0).any())
    (0.9, True)
    """
    model = initialized(recipe, splits, device)
    found = chosen_mask(recipe, model, scored or splits) if mask is None else mask
    made_ready_(recipe, model, found)
    return model, found
