"""A comparison: methods × sparsities × seeds × models × data, with the dense network they are held against."""

from collections.abc import Mapping, Sequence
from typing import Any

from thresher.core.errors import ArgumentError
from thresher.experiments.points import grid
from thresher.experiments.protocol import protocol
from thresher.experiments.recipe import Recipe
from thresher.experiments.task import OF_PRUNING


def comparison(
    data: Sequence[str],
    models: Sequence[str],
    methods: Sequence[str],
    sparsities: Sequence[float],
    seeds: int,
    fields: Mapping[str, Any] | None = None,
) -> tuple[Recipe, ...]:
    """The recipes of every method at every sparsity, and of the dense network, for `seeds` seeds from 0 on.

    They follow the protocol of their data set, and `fields` beyond. Seeds come outermost: a study cut short has
    every cell, with fewer seeds. "dense" among the methods is the network that is there in any case.

    Raises ArgumentError, naming the combination, if one of them is no recipe: before anything runs.

    >>> points = comparison(["digits"], ["lenet-300-100"], ["random", "snip"], [0.9, 0.95], seeds=2)
    >>> [(point.method, point.sparsity, point.seed) for point in points][:6]
    [('dense', 0.0, 0), ('random', 0.9, 0), ('random', 0.95, 0), ('snip', 0.9, 0), ('snip', 0.95, 0), ('dense', 0.0, 1)]
    """
    if seeds < 1:
        raise ArgumentError(f"a comparison has at least one seed: got seeds={seeds}")
    for what, axis in (("data set", data), ("model", models), ("method", methods)):
        if not axis:
            raise ArgumentError(f"a comparison has at least one {what}: got none")
    pruning = [method for method in methods if method != "dense"]
    if pruning and not sparsities:
        raise ArgumentError(f"no sparsity to prune to by {', '.join(pruning)}: give at least one, such as 0.9")
    given = dict(fields or {})
    for fixed in ("data", "model", "method", "sparsity", "seed"):
        if fixed in given:
            raise ArgumentError(f"{fixed} is an axis of a comparison: it cannot be a fixed field too")
    points: dict[str, Recipe] = {}
    for seed in range(seeds):
        for name in data:
            base = {**protocol(name), "data": name, "seed": seed, **given}
            unpruned = {field: value for field, value in base.items() if field not in OF_PRUNING}
            for model in models:
                cells = grid({**unpruned, "model": model}, method=["dense"])
                if pruning:
                    cells += grid({**base, "model": model}, method=pruning, sparsity=list(sparsities))
                points |= {recipe.hash: recipe for recipe in cells}
    return tuple(points.values())
