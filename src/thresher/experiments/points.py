"""The points of a sweep, all known before any of them starts: a grid, or a Sobol sequence."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints

import torch

from thresher.core.errors import ArgumentError, unknown_name
from thresher.experiments.recipe import Recipe


@dataclass(frozen=True)
class Range:
    """The values from `low` to `high`, spread evenly on a "log" or a "linear" scale.

    Raises ArgumentError unless low < high, and 0 < low on a log scale.
    """

    low: float
    high: float
    scale: Literal["log", "linear"] = "log"

    def __post_init__(self) -> None:
        if self.scale not in ("log", "linear"):
            raise unknown_name("scale", self.scale, ("log", "linear"))
        if not self.low < self.high or (self.scale == "log" and self.low <= 0):
            raise ArgumentError(f"a range has low < high, on a log scale both above zero: got {self}")

    def at(self, u: float) -> float:
        """low·(high/low)^u on a log scale, low + (high - low)·u on a linear one, for u in [0, 1].

        >>> Range(0.001, 0.1).at(0.5), Range(0.5, 1.0, "linear").at(0.5)
        (0.01, 0.75)
        """
        if self.scale == "log":
            return self.low * float((self.high / self.low) ** u)
        return self.low + (self.high - self.low) * u


def grid(base: Mapping[str, Any], **axes: Sequence[Any]) -> tuple[Recipe, ...]:
    """The recipe of every combination of `axes` on top of the recipe fields `base`, the last axis moving fastest.

    Two combinations that make the same recipe are one point. Raises ArgumentError, naming the combination, if one
    of them is no recipe: the methods and sparsities that go together are up to the caller (`dense` has sparsity 0).

    >>> points = grid({"data": "digits", "model": "lenet-300-100", "method": "snip"}, sparsity=[0.9, 0.95], seed=[0, 1])
    >>> [(point.sparsity, point.seed) for point in points]
    [(0.9, 0), (0.9, 1), (0.95, 0), (0.95, 1)]
    """
    _check_fields([*base, *axes])
    for name, values in axes.items():
        if isinstance(values, str) or not values:
            raise ArgumentError(f"the axis {name} is a sequence of at least one value: got {values!r}")
    return _distinct(
        _recipe(base, dict(zip(axes, values, strict=True))) for values in itertools.product(*axes.values())
    )


def sobol(base: Mapping[str, Any], ranges: Mapping[str, Range], n: int, seed: int) -> tuple[Recipe, ...]:
    """The recipes of the first `n` points of a scrambled Sobol sequence in `ranges`, on top of the fields `base`.

    Fields that are whole numbers are rounded; where that makes two points the same recipe they are one. The same
    arguments give the same points wherever they are computed. n need not be a power of two, but only then is every
    half, quarter … of each range hit equally often.

    Source: Sobol' (1967), scrambled as by Matousek (1998): `torch.quasirandom.SobolEngine`.
    Raises ArgumentError for a field that holds no number, or a point that is no recipe.
    """
    _check_fields([*base, *ranges])
    hints = get_type_hints(Recipe)
    for name in ranges:
        if hints[name] not in (int, float, int | None, float | None):
            raise ArgumentError(f"the field {name} holds no number: a range of it means nothing; use grid")
    if not ranges or n < 1:
        raise ArgumentError(f"a Sobol sequence has at least one range and one point: got {len(ranges)} and n={n}")
    engine = torch.quasirandom.SobolEngine(len(ranges), scramble=True, seed=seed)  # type: ignore[no-untyped-call]
    points = []
    for draw in engine.draw(n, dtype=torch.float64).tolist():
        values: dict[str, Any] = {name: ranges[name].at(u) for name, u in zip(ranges, draw, strict=True)}
        whole = {name: round(value) for name, value in values.items() if hints[name] in (int, int | None)}
        points.append(_recipe(base, {**values, **whole}))
    return _distinct(points)


def _recipe(base: Mapping[str, Any], combination: Mapping[str, Any]) -> Recipe:
    try:
        return Recipe(**{**base, **combination})
    except (ArgumentError, TypeError) as error:
        listed = ", ".join(f"{name}={value!r}" for name, value in combination.items())
        raise ArgumentError(f"the combination {listed} is no recipe: {error}") from error


def _distinct(recipes: Iterable[Recipe]) -> tuple[Recipe, ...]:
    return tuple({recipe.hash: recipe for recipe in recipes}.values())


def _check_fields(names: Sequence[str]) -> None:
    known = [field.name for field in dataclasses.fields(Recipe)]
    for name in names:
        if name not in known:
            raise unknown_name("recipe field", name, known)
