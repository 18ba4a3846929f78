"""A published table with fewer steps of training."""

import dataclasses

from thresher.core.errors import ArgumentError
from thresher.core.step import Step
from thresher.experiments import Recipe
from thresher.papers.published import Budget, Cell, PublishedTable, Trained

_EVALUATIONS = 4  # at least, whatever is left of the training


def shortened_table(table: PublishedTable, budget: Budget, steps: int) -> PublishedTable:
    """`table` with every training of `budget` that is longer cut to `steps` steps, which its departures then say.

    Raises ArgumentError for less than one step.

    >>> from thresher.papers import PAPERS
    >>> cut = shortened_table(PAPERS["thesis/table-4.2"], "full", 1000).cell("LDI", "ResNet32 error").work["full"]
    >>> cut.recipe.budget, cut.recipe.decay_every
    ('1000it', '250it')
    """
    if steps < 1:
        raise ArgumentError(f"steps is at least 1: got {steps}")
    departure = (
        f"trainings of more than {steps:,} steps are cut to so many, decays of the learning rate at the same fractions "
        "of the way"
    )
    cells = tuple(_shortened_cell(cell, budget, steps) for cell in table.cells)
    return dataclasses.replace(table, cells=cells, departures=(*table.departures, departure))


def _shortened_cell(cell: Cell, budget: Budget, steps: int) -> Cell:
    work = cell.work[budget]
    if not isinstance(work, Trained):
        return cell
    shorter = dataclasses.replace(work, recipe=shortened(work.recipe, steps))
    return dataclasses.replace(cell, work={**cell.work, budget: shorter})


def shortened(recipe: Recipe, steps: int) -> Recipe:
    """`recipe`, whose budget and decays are counted in steps, cut to `steps` steps.

    The learning rate decays at the same fractions of the way, and there are at least four evaluations.
    """
    whole = Step.parse(recipe.budget).iterations
    if steps >= whole:
        return recipe

    def cut(place: str) -> str:
        return f"{max(1, round(steps * Step.parse(place).iterations / whole))}it"

    return dataclasses.replace(
        recipe,
        budget=f"{steps}it",
        evaluate_every=f"{min(Step.parse(recipe.evaluate_every).iterations, max(1, steps // _EVALUATIONS))}it",
        decay_every=None if recipe.decay_every is None else cut(recipe.decay_every),
        milestones=tuple(dict.fromkeys(map(cut, recipe.milestones))),
    )
