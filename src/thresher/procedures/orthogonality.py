"""Orthogonality: how far each layer's matrix under its mask is from preserving norms, and how far it must be."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from thresher.analysis.structural_rank import structural_rank
from thresher.core.errors import ArgumentError, MaskMismatchError, NonFiniteError
from thresher.core.mask import Mask
from thresher.core.prunable import prunable
from thresher.initializers.initializer import linear_maps
from thresher.layers import MaskedParameter, SparseLayer, densify

Norm = Literal["frobenius", "spectral"]


@dataclass(frozen=True)
class LayerOrthogonality:
    """One weight: its `num_maps` matrices [rows, columns] (gates, projections, groups), one below another.

    score: ‖GG^T - I‖ of the block-diagonal matrix of all G, the maps or, where they are tall, their transposes.
    floor: the least score of any choice of the kept weights: √(directions without support) in the Frobenius norm, 1 in
        the spectral norm if there is any. It is reached, if by nothing better, by ones on a largest matching of rows
        with columns and zeros elsewhere; the same weights are best in both norms.
    empty_rows, empty_columns: outputs and inputs of the maps with no weight kept.
    """

    name: str
    rows: int
    columns: int
    num_maps: int
    score: float
    floor: float
    empty_rows: int
    empty_columns: int

    @property
    def score_on_outputs(self) -> float:
        """‖WW^T - I‖_F with the identity of the outputs, the larger side of a tall map: its score in equation 4.8.

        √(score² + num_maps · max(rows - columns, 0)): tall maps have so many directions more, which cannot be reached.
        """
        return math.sqrt(self.score**2 + self.num_maps * max(self.rows - self.columns, 0))


@dataclass(frozen=True)
class Orthogonality:
    """Every prunable weight of a model, in its order."""

    layers: tuple[LayerOrthogonality, ...]

    @property
    def score(self) -> float:
        """The orthogonality score of thesis section 4.5.1, the mean over layers, on the smaller side of each."""
        return sum(layer.score for layer in self.layers) / len(self.layers)

    @property
    def floor(self) -> float:
        """The mean of the layers' floors: no repair brings the score below."""
        return sum(layer.floor for layer in self.layers) / len(self.layers)


def orthogonality(model: nn.Module, mask: Mask | None = None, *, norm: Norm = "frobenius") -> Orthogonality:
    """How far the layers of `model` under `mask` are from orthogonal; nothing is changed.

    mask: what is kept of the weights; those it does not name are whole. The weights of sparse layers and held
        parameters (`sparsify`) have their own, with which it must agree.
    norm: "frobenius" or "spectral".

    A weight is read as its matrix [out, in · taps]. For a convolution that is the matrix of the thesis, and says
    nothing of how the convolution acts on overlapping patches.

    Raises NonFiniteError for weights that are NaN or infinite, MaskMismatchError for another model's mask,
    NothingToPruneError. Cost: a copy of the model, out · in · min(out, in) a layer, and a matching.
    Source: thesis equation 4.8 and section 4.5.1 (Lee 2021).

    >>> layer = nn.Linear(2, 2)
    >>> _ = nn.init.eye_(layer.weight)
    >>> keep = torch.tensor([[True, False], [False, False]])
    >>> found = orthogonality(layer, Mask({"weight": keep})).layers[0]
    >>> found.score, found.floor, found.empty_rows
    (1.0, 1.0, 1)
    """
    check_norm(norm)
    return measured(kept_weights(model, mask), norm)


@dataclass(frozen=True)
class Maps:
    """A weight under its mask as matrices [num_maps, rows, columns] in float64, and where they are kept.

    missing: directions without support, of each map: its smaller side less its structural rank.
    """

    shape: torch.Size
    matrices: Tensor
    keep: Tensor
    missing: tuple[int, ...]

    @property
    def tall(self) -> bool:
        """Whether there are more rows than columns."""
        return self.matrices.shape[1] > self.matrices.shape[2]

    def floors(self, norm: Norm) -> list[float]:
        """What no choice of the kept weights gets below, for each map."""
        return [math.sqrt(missing) if norm == "frobenius" else float(missing > 0) for missing in self.missing]

    def floor(self, norm: Norm) -> float:
        """What no choice of the kept weights gets below, for all maps together."""
        return math.hypot(*self.floors(norm)) if norm == "frobenius" else max(self.floors(norm), default=0.0)

    def score(self, norm: Norm) -> float:
        """‖GG^T - I‖ of all maps together."""
        wide = self.matrices.mT if self.tall else self.matrices
        off = wide @ wide.mT - torch.eye(wide.shape[1], dtype=wide.dtype, device=wide.device)
        if off.numel() == 0:
            return 0.0
        return float(off.norm() if norm == "frobenius" else torch.linalg.eigvalsh(off).abs().max())


def kept_weights(model: nn.Module, mask: Mask | None) -> dict[str, Maps]:
    """Name → maps of every prunable weight of `model`, dense or sparse; raises as `orthogonality` does."""
    plain = densify(model)  # torch's own layers and shapes under the names of the model
    own = _own_masks(model)
    given: Mapping[str, Tensor] = {} if mask is None else mask
    if mask is not None:
        mask.parameters_of(plain)
    for name in own.keys() & given.keys():
        if not torch.equal(own[name].cpu(), given[name].cpu()):
            raise MaskMismatchError(f"{name} is sparse already, and mask keeps other weights of it: leave the mask out")
    maps, found = linear_maps(plain), {}
    for name, weight in prunable(plain).items():
        if not bool(weight.isfinite().all()):
            bad = int((~weight.isfinite()).sum())
            raise NonFiniteError(f"{name}: {bad} of {weight.numel()} weights are NaN or infinite; initialize them anew")
        keep = own.get(name, given.get(name, torch.ones_like(weight, dtype=torch.bool))).to(weight.device)
        matrices = weight.detach().double().masked_fill(~keep, 0.0)
        num_maps = maps[name][1]
        shape = (num_maps, weight.shape[0] // num_maps, math.prod(weight.shape[1:]))
        keep = keep.reshape(shape)
        missing = tuple(min(shape[1:]) - structural_rank(part) for part in keep.cpu())
        found[name] = Maps(weight.shape, matrices.reshape(shape), keep, missing)
    return found


def measured(weights: Mapping[str, Maps], norm: Norm) -> Orthogonality:
    """The scores of `weights`."""
    layers = []
    for name, maps in weights.items():
        num_maps, rows, columns = maps.matrices.shape
        empty_rows, empty_columns = (int((~maps.keep.any(dim)).sum()) for dim in (2, 1))
        score, floor = maps.score(norm), maps.floor(norm)
        layers.append(LayerOrthogonality(name, rows, columns, num_maps, score, floor, empty_rows, empty_columns))
    return Orthogonality(tuple(layers))


def check_norm(norm: str) -> None:
    """Raise ArgumentError for a norm that is none of those known."""
    if norm not in ("frobenius", "spectral"):
        raise ArgumentError(f"norm is 'frobenius' or 'spectral': got {norm!r}")


def _own_masks(model: nn.Module) -> dict[str, Tensor]:
    own = {name: p.keep for name, p in model.named_parameters() if isinstance(p, MaskedParameter)}
    for prefix, module in model.named_modules():
        if isinstance(module, SparseLayer):
            own |= {f"{prefix}.{name}" if prefix else name: module.keep_of(name) for name in module.sparse_weights}
    return own
