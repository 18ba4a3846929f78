"""Architecture sculpting: bulky networks pruned, without labels, to the size of a plain one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thresher.core.errors import ArgumentError
from thresher.core.prunable import prunable
from thresher.experiments.paired import Comparison, compare
from thresher.experiments.protocol import protocol
from thresher.experiments.recipe import Recipe
from thresher.experiments.summary import Cell, Summary, errors_by_seed
from thresher.experiments.task import NOT_THE_TASK
from thresher.models import build


@dataclass(frozen=True)
class Size:
    """How many parameters a network has, and how many of them can be pruned."""

    parameters: int
    prunable: int


@dataclass(frozen=True)
class Sculpture:
    """A network of a sculpting with its runs, held seed by seed against the plain one (None for that one itself)."""

    cell: Cell
    against_base: Comparison | None


def sculptures(
    base: str,
    bulky: Sequence[str],
    data: str,
    seeds: int = 1,
    fields: Mapping[str, Any] | None = None,
    *,
    input_shape: tuple[int, ...] | None = None,
    num_classes: int | None = None,
) -> tuple[Recipe, ...]:
    """Recipes of the dense `base`, and of each of the `bulky` models pruned to as many parameters, for each seed.

    They are pruned at initialisation by connection sensitivity to the uniform loss, which needs no labels; `fields`
    overrule that, and the protocol of the data set. Parameters that cannot be pruned (biases, norms) count, so the
    totals agree to one weight.

    input_shape, num_classes: the form of the data, where it is not the one that the models were published with.

    Raises ArgumentError for no bulky model, one that is not larger than `base`, or has more unprunable parameters than
    it has in all, and for a field that is set by the sculpting itself. Cost: each model is built once.
    Source: Lee, Ajanthan, Gould, Torr (2020), section 5.3 (thesis section 4.5.3, Table 4.6). Departure: weights start
    as the recipe's initializer has them, orthogonal there.

    >>> dense, wide = sculptures("resnet-20", ["resnet-20-2"], "cifar-10")
    >>> wide.method, wide.score_loss, round(wide.sparsity, 3)
    ('snip', 'uniform', 0.751)
    """
    if seeds < 1:
        raise ArgumentError(f"at least one seed: got seeds={seeds}")
    if not bulky:
        raise ArgumentError(f"sculpting starts from larger networks than {base}: name at least one")
    given = dict(fields or {})
    for fixed in ("data", "model", "sparsity", "seed"):
        if fixed in given:
            raise ArgumentError(f"{fixed} follows from the networks and seeds of a sculpting: leave the field out")
    budget = size(base, input_shape, num_classes).parameters
    shared = {**protocol(data), "data": data}
    pruning = {"method": "snip", "score_loss": "uniform", **given}
    training = {name: value for name, value in pruning.items() if name not in NOT_THE_TASK}
    sparsities = {}
    for name in bulky:
        whole = size(name, input_shape, num_classes)
        if whole.parameters <= budget:
            raise ArgumentError(
                f"{name} has {whole.parameters:,} parameters, {base} {budget:,}: sculpting starts from more"
            )
        fixed_parameters = whole.parameters - whole.prunable
        if fixed_parameters >= budget:
            raise ArgumentError(
                f"{name} has {fixed_parameters:,} parameters that cannot be pruned, more than all {budget:,} of {base}"
            )
        sparsities[name] = (whole.parameters - budget) / whole.prunable
    recipes: list[Recipe] = []
    for seed in range(seeds):
        recipes.append(Recipe(**{**shared, **training, "model": base, "seed": seed}))
        recipes += [
            Recipe(**{**shared, **pruning, "model": name, "sparsity": sparsity, "seed": seed})
            for name, sparsity in sparsities.items()
        ]
    return tuple(recipes)


def size(model: str, input_shape: tuple[int, ...] | None = None, num_classes: int | None = None) -> Size:
    """The size of the network called `model`, as published or for inputs and classes of another form.

    >>> size("lenet-300-100")
    Size(parameters=266610, prunable=266200)
    """
    network = build(model, num_classes=num_classes, input_shape=input_shape)
    return Size(sum(p.numel() for p in network.parameters()), sum(p.numel() for p in prunable(network).values()))


def sculpted(summary: Summary, base: str) -> tuple[Sculpture, ...]:
    """The networks of a sculpting that `summary` is of, `base` first.

    Each is held against `base` by the difference of their errors seed by seed; equal seeds share the split and the
    order of the examples. Raises ArgumentError if there are no dense runs of `base`.
    """
    plain = [cell for cell in summary.cells if (cell.recipe.model, cell.recipe.method) == (base, "dense")]
    if not plain:
        raise ArgumentError(f"there are no dense runs of {base} to hold the others against")
    errors = errors_by_seed(plain[0], summary.measure)
    others = (
        Sculpture(cell, compare(errors_by_seed(cell, summary.measure), errors, base, summary.confidence))
        for cell in summary.cells
        if cell is not plain[0]
    )
    return (Sculpture(plain[0], None), *others)
