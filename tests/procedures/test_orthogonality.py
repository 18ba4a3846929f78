import math

import numpy as np
import pytest
import torch
from torch import nn

from thresher.core.errors import ArgumentError, MaskMismatchError, NonFiniteError, NothingToPruneError
from thresher.core.mask import Mask
from thresher.layers import sparsify
from thresher.procedures.orthogonality import orthogonality


def random_mask(model, density, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Mask(
        {n: torch.rand(p.shape, generator=generator) < density for n, p in model.named_parameters() if p.dim() > 1}
    )


def numpy_score(matrix, side, order):
    gram = matrix @ matrix.T if side == "rows" else matrix.T @ matrix
    return np.linalg.norm(gram - np.eye(len(gram)), order)


@pytest.mark.parametrize("norm", ["frobenius", "spectral"])
@pytest.mark.parametrize(("rows", "columns"), [(4, 9), (9, 4), (5, 5)])
def test_the_score_is_the_norm_on_the_smaller_side(rows, columns, norm):
    torch.manual_seed(0)
    layer = nn.Linear(columns, rows).double()
    mask = random_mask(layer, 0.5)
    found = orthogonality(layer, mask, norm=norm).layers[0]
    matrix = (layer.weight.detach() * mask["weight"]).numpy()
    order = "fro" if norm == "frobenius" else 2
    assert found.score == pytest.approx(numpy_score(matrix, "rows" if rows <= columns else "columns", order), rel=1e-12)
    assert (found.rows, found.columns, found.num_maps) == (rows, columns, 1)
    if norm == "frobenius":
        assert found.score_on_outputs == pytest.approx(numpy_score(matrix, "rows", "fro"), rel=1e-12)


@pytest.mark.parametrize(
    ("make", "name", "maps"),
    [
        (lambda: nn.LSTM(6, 5), "weight_ih_l0", 4),
        (lambda: nn.GRU(3, 5), "weight_ih_l0", 3),
        (lambda: nn.MultiheadAttention(6, 2), "in_proj_weight", 3),
        (lambda: nn.Conv2d(6, 4, 3), "weight", 1),
        (lambda: nn.Conv2d(4, 6, 3, groups=2), "weight", 2),
    ],
)
def test_gates_projections_and_groups_are_maps_of_their_own(make, name, maps):
    torch.manual_seed(0)
    model = make().double()
    found = {layer.name: layer for layer in orthogonality(model).layers}[name]
    weight = dict(model.named_parameters())[name].detach().flatten(1).numpy()
    parts = np.split(weight, maps)
    side = "rows" if parts[0].shape[0] <= parts[0].shape[1] else "columns"
    assert found.num_maps == maps
    assert found.score == pytest.approx(
        math.sqrt(sum(numpy_score(part, side, "fro") ** 2 for part in parts)), rel=1e-12
    )
    spectral = {layer.name: layer for layer in orthogonality(model, norm="spectral").layers}[name]
    assert spectral.score == pytest.approx(max(numpy_score(part, side, 2) for part in parts), rel=1e-12)


def test_the_floor_counts_directions_without_support():
    layer = nn.Linear(6, 4)
    keep = torch.zeros(4, 6, dtype=torch.bool)
    keep[:3, 0] = True  # three rows that have one column in common, and an empty one
    keep[0, 1] = True
    found = orthogonality(layer, Mask({"weight": keep})).layers[0]
    assert found.floor == pytest.approx(math.sqrt(2))
    assert (found.empty_rows, found.empty_columns) == (1, 4)
    assert orthogonality(layer, Mask({"weight": keep}), norm="spectral").layers[0].floor == 1.0
    assert orthogonality(layer).layers[0].floor == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_nothing_of_that_support_gets_below_the_floor(seed):
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(8, 6).double()
    mask = Mask({"weight": torch.rand(6, 8, generator=generator) < 0.2})
    for _ in range(20):
        layer.weight.data.normal_(generator=generator)
        for norm in ("frobenius", "spectral"):
            found = orthogonality(layer, mask, norm=norm).layers[0]
            assert found.score >= found.floor - 1e-12


def test_the_scores_are_means_over_layers_and_nothing_is_changed():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    before = {n: t.clone() for n, t in model.state_dict().items()}
    found = orthogonality(model, random_mask(model[:1], 0.3))
    assert [layer.name for layer in found.layers] == ["0.weight", "2.weight"]
    assert found.score == pytest.approx(sum(layer.score for layer in found.layers) / 2)
    assert found.floor == pytest.approx(sum(layer.floor for layer in found.layers) / 2)
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())


def test_a_sparse_model_scores_as_the_masked_dense_one():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ConvTranspose2d(4, 4, 3), nn.Linear(5, 4), nn.LSTM(4, 3))
    mask = random_mask(model, 0.4)
    mask.apply_(model)
    assert orthogonality(sparsify(model, mask, "always")) == orthogonality(model, mask)
    assert orthogonality(sparsify(model, mask, "always"), mask) == orthogonality(model, mask)
    with pytest.raises(MaskMismatchError, match=r"0\.weight is sparse already, and mask keeps other weights"):
        orthogonality(sparsify(model, mask, "always"), Mask({"0.weight": ~mask["0.weight"]}))


def test_what_cannot_be_measured_is_named():
    layer = nn.Linear(3, 2)
    with pytest.raises(ArgumentError, match="norm is 'frobenius' or 'spectral': got 'nuclear'"):
        orthogonality(layer, norm="nuclear")
    with pytest.raises(MaskMismatchError):
        orthogonality(layer, Mask({"weight": torch.ones(3, 3, dtype=torch.bool)}))
    with pytest.raises(NothingToPruneError):
        orthogonality(nn.LayerNorm(3))
    layer.weight.data[1, 2] = math.nan
    with pytest.raises(NonFiniteError, match="weight: 1 of 6 weights are NaN or infinite"):
        orthogonality(layer)


def test_layers_without_entries_score_nothing():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    model[1].weight = nn.Parameter(torch.zeros(0, 2))
    found = orthogonality(model)
    assert (found.layers[1].score, found.layers[1].floor) == (0.0, 0.0)
