"""From which sparsity on a contender is faster than dense."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any


def crossover(speedups: Mapping[float, float]) -> float | None:
    """The sparsity at which speedup = 1, from sparsity → speedup; None if no two neighbours lie on either side.

    A straight line between neighbours in log(1 - sparsity) and log(speedup), exact where time is a power of the
    density. Above it every measured speedup is more than 1.

    >>> round(crossover({0.8: 0.5, 0.9: 1.0, 0.95: 2.0}), 6)
    0.9
    >>> crossover({0.8: 1.3, 0.9: 2.5}) is None
    True
    """
    points = sorted(((sparsity, math.log(speedup)) for sparsity, speedup in speedups.items()), reverse=True)
    for (above, fast), (below, slow) in itertools.pairwise(points):
        if fast <= 0:
            return None
        if slow <= 0:
            start, end = math.log1p(-below), math.log1p(-above)
            return -math.expm1(start + (end - start) * slow / (slow - fast))
    return None


def crossovers(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The `sparsity` at which each contender's median speedup is 1, by case, what and batch; see `crossover`.

    Contenders that are faster, or slower, at every measured sparsity are not in the list.
    """
    speedups: dict[tuple[Any, ...], dict[float, float]] = defaultdict(dict)
    for row in rows:
        for name, contender in row["contenders"].items():
            key = (row["case"], row["what"], row["batch"], name)
            speedups[key][row["sparsity"]] = contender["speedup"]["median"]
    found = [(*key, crossover(by_sparsity)) for key, by_sparsity in speedups.items()]
    names = ("case", "what", "batch", "contender", "sparsity")
    return [dict(zip(names, entry, strict=True)) for entry in found if entry[-1] is not None]
