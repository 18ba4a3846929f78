"""How scores are distributed over layers: which of them a global threshold would starve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from thresher.core.errors import ArgumentError, MaskMismatchError
from thresher.core.mask import Mask

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Sensitivity:
    """Of one tensor's scores: how many, their `quantiles` at the levels asked for, and their `share` of the sum of all.

    All are of kept weights only if a mask was given; then quantiles are None for a tensor that keeps nothing.
    """

    count: int
    quantiles: tuple[float, ...] | None
    share: float


def sensitivity(
    scores: Mapping[str, Tensor], mask: Mask | None = None, levels: Sequence[float] = QUANTILES
) -> dict[str, Sensitivity]:
    """Parameter name → the distribution of its scores, such as the connection sensitivities that SNIP gives.

    scores: name → tensor, as from ``Criterion.scores``. mask: look at kept weights only. levels: in [0, 1]; between
    two scores the quantile is interpolated linearly. Raises ArgumentError for a level out of range or no level, and
    MaskMismatchError if the mask has no tensor for a score. Cost: a sort of the scores.
    Source: Lee, Ajanthan, Gould, Torr (2020), section 3.1 (thesis Figure 4.1, right).

    >>> found = sensitivity({"a": torch.tensor([1.0, 2.0, 3.0]), "b": torch.tensor([6.0])}, levels=[0.5])
    >>> found["a"].quantiles, found["a"].share
    ((2.0,), 0.5)
    """
    if not levels or not all(0 <= level <= 1 for level in levels):
        raise ArgumentError(f"levels are in [0, 1], at least one: got {list(levels)}")
    missing = [name for name in scores if mask is not None and name not in mask]
    if missing:
        raise MaskMismatchError(f"scores without a mask: {', '.join(missing)}")
    chosen = {
        name: (score if mask is None else score[mask[name].to(score.device)]).detach().double().flatten()
        for name, score in scores.items()
    }
    total = sum(float(score.sum()) for score in chosen.values())
    return {
        name: Sensitivity(score.numel(), _quantiles(score, levels), float(score.sum()) / total if total else 0.0)
        for name, score in chosen.items()
    }


def _quantiles(scores: Tensor, levels: Sequence[float]) -> tuple[float, ...] | None:
    if not scores.numel():
        return None
    # torch.quantile refuses more than 16 million values
    ordered = scores.sort().values
    places = torch.tensor(levels, dtype=torch.float64) * (len(ordered) - 1)
    below = places.floor().long().to(ordered.device)
    above = places.ceil().long().to(ordered.device)
    part = (places.to(ordered.device) - below).to(ordered)
    return tuple((ordered[below] * (1 - part) + ordered[above] * part).tolist())
