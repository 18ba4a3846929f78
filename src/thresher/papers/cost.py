"""What reproducing a table costs before anything is run."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from thresher.core.step import Step
from thresher.experiments import Recipe
from thresher.models.activation import ACTIVATIONS
from thresher.papers.published import Budget, Cell, Computed
from thresher.papers.reproduce import recipes_of

# Seconds of a dense training step with a batch of 100 (MNIST) or 128 (CIFAR-10) on two cores of a desktop processor,
# to one digit: enough to tell minutes from days. Pruned networks are as fast or faster.
_SECONDS: Mapping[str, float] = {
    "lenet-300-100": 0.001,
    "lenet-5-caffe": 0.01,
    "lstm-s": 0.008,
    "lstm-b": 0.03,
    "gru-s": 0.008,
    "gru-b": 0.03,
    "mlp-3": 0.0015,
    "mlp-5": 0.0015,
    "mlp-7": 0.0015,
    "resnet-20": 0.2,
    "resnet-20-2": 0.5,
    "resnet-20-4": 1.5,
    "resnet-20-6": 3.0,
    "resnet-20-8": 5.0,
    "resnet-14-2": 0.3,
    "resnet-14-4": 1.0,
    "resnet-14-6": 2.0,
    "resnet-32": 0.3,
    "resnet-56": 0.5,
    "resnet-110": 1.0,
    "vgg16": 1.0,
    "alexnet-s": 0.2,
    "alexnet-b": 0.3,
    "vgg-like": 1.0,
    "vgg-c": 1.0,
    "vgg-d": 1.0,
    "wrn-16-6": 3.0,
    "wrn-16-8": 5.0,
    "wrn-16-10": 8.0,
    "wrn-22-8": 8.0,
}
# what a name says of a network beside its size
_VARIANTS = re.compile(rf"-(?:{'|'.join(ACTIVATIONS)}|padded|no-norm)")
_SECONDS_COMPUTING: Mapping[str, float] = {
    "masks_by_class": 3.0,
    "masks_by_batch": 5.0,
    "first_empty_layer": 20.0,
    "least_kept": 60.0,
    "scaled_gaussian": 25.0,
    "propagation": 10.0,
    "orthogonality_score": 20.0,
    "magnitude_after_training": 60.0,  # at quick a fifth of that, at full five times as much
}


@dataclass(frozen=True)
class Cost:
    """Trainings, their steps in all, computations without training, and roughly how long on two cores."""

    runs: int
    steps: int
    computations: int
    seconds: float


def cost_of(cells: Iterable[Cell], budget: Budget, seeds: int) -> Cost:
    """The cost of `cells` at `budget`, as if nothing of it were in the store.

    >>> from thresher.papers.thesis_table_3_1 import TABLE
    >>> full = cost_of(TABLE.cells, "full", 5)
    >>> full.runs, full.steps
    (30, 2400000)
    """
    cells = tuple(cells)
    recipes = recipes_of(cells, budget, seeds)
    works = [cell.work[budget] for cell in cells]
    computations = {work.computation for work in works if isinstance(work, Computed)}
    training = sum(_steps(recipe) * _SECONDS[_VARIANTS.sub("", recipe.model)] for recipe in recipes)
    computing = seeds * sum(_SECONDS_COMPUTING[computation.function.__name__] for computation in computations)
    # a smoke run is all overhead
    seconds = float(len(recipes) + seeds * len(computations)) if budget == "smoke" else training + computing
    return Cost(len(recipes), sum(map(_steps, recipes)), seeds * len(computations), seconds)


def _steps(recipe: Recipe) -> int:
    # every recipe here counts its budget in steps, so that no data set has to be opened
    return Step.parse(recipe.budget).iterations
