"""Density scaling: weights under a mask made larger, so that the signal they pass on is as large as without it."""

import math

import torch
from torch import nn

from thresher.core.mask import Mask
from thresher.initializers import Initialized


@torch.no_grad()
def scale_by_density_(model: nn.Module, mask: Mask) -> tuple[Initialized, ...]:
    """Multiply each weight of `model` under `mask` by 1/√density, its share of kept entries, and zero the removed.

    A mask that does not look at the weights leaves of their variance the density; so much is given back, and with it
    the gain that the initializer chose. Comes out: what was done to each weight of the mask. A layer without a kept
    weight cannot be scaled, and the row says so. One factor a layer: `approximate_isometry_` evens out what units
    of few and of many kept inputs receive.

    Raises MaskMismatchError if the mask is for another model. Cost: one pass over the weights.
    Source: Evci, Ioannou, Keskin, Dauphin (2022), section 3.1 (theirs by unit; here by layer).

    >>> layer = nn.Linear(2, 2)
    >>> _ = nn.init.ones_(layer.weight)
    >>> scale_by_density_(layer, Mask({"weight": torch.tensor([[True, False], [False, False]])}))
    (Initialized(name='weight', done='times 2 = 1/√0.25', shortfall=''),)
    >>> layer.weight.tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """
    rows = []
    for name, parameter in mask.parameters_of(model).items():
        keep = mask[name].to(parameter.device)
        parameter.masked_fill_(~keep, 0.0)
        kept = int(keep.sum())
        if kept == 0:
            rows.append(Initialized(name, "left", "no weight is kept"))
            continue
        factor = math.sqrt(keep.numel() / kept)
        parameter.mul_(factor)
        rows.append(Initialized(name, f"times {factor:.4g} = 1/√{kept / keep.numel():.4g}"))
    return tuple(rows)
