"""Architecture sculpting: bulky networks pruned, without labels, to the size of a plain one."""

from collections.abc import Mapping, Sequence
from typing import Any

from thresher.core.errors import ArgumentError
from thresher.core.prunable import prunable
from thresher.experiments.protocol import protocol
from thresher.experiments.recipe import Recipe
from thresher.models import build


def sculptures(
    base: str, bulky: Sequence[str], data: str, seeds: int = 1, fields: Mapping[str, Any] | None = None
) -> tuple[Recipe, ...]:
    """Recipes of the dense `base`, and of each of the `bulky` models pruned to as many parameters, for each seed.

    They are pruned at initialisation by connection sensitivity to the uniform loss, which needs no labels; `fields`
    overrule that, and the protocol of the data set. Parameters that cannot be pruned (biases, norms) count, so the
    totals agree to one weight.

    Raises ArgumentError for a model that is not larger than `base`, or has more unprunable parameters than it has in
    all. Cost: each model is built once.
    Source: Lee, Ajanthan, Gould, Torr (2020), section 5.3 (thesis section 4.5.3, Table 4.6). Departure: weights start
    as the recipe's initializer has them, orthogonal there.

    >>> dense, wide = sculptures("resnet-20", ["resnet-20-2"], "cifar-10")
    >>> wide.method, wide.score_loss, round(wide.sparsity, 3)
    ('snip', 'uniform', 0.751)
    """
    if seeds < 1:
        raise ArgumentError(f"at least one seed: got seeds={seeds}")
    budget, _ = _size(base)
    shared = {**protocol(data), "data": data}
    pruning = {"method": "snip", "score_loss": "uniform", **(fields or {})}
    training = {name: value for name, value in pruning.items() if name not in ("method", "score_loss", "isometry")}
    sparsities = {}
    for name in bulky:
        total, weights = _size(name)
        if total <= budget:
            raise ArgumentError(f"{name} has {total:,} parameters, {base} {budget:,}: sculpting starts from more")
        if total - weights >= budget:
            raise ArgumentError(
                f"{name} has {total - weights:,} parameters that cannot be pruned, more than all {budget:,} of {base}"
            )
        sparsities[name] = (total - budget) / weights
    recipes: list[Recipe] = []
    for seed in range(seeds):
        recipes.append(Recipe(**{**shared, **training, "model": base, "seed": seed}))
        recipes += [
            Recipe(**{**shared, **pruning, "model": name, "sparsity": sparsity, "seed": seed})
            for name, sparsity in sparsities.items()
        ]
    return tuple(recipes)


def _size(model: str) -> tuple[int, int]:
    """Number of parameters, and of those that can be pruned."""
    network = build(model)
    return sum(p.numel() for p in network.parameters()), sum(p.numel() for p in prunable(network).values())
