"""SparseLab 0.2.2: linear layers in padded compressed rows."""

import importlib
import warnings

import numpy
import torch
from torch import Tensor, nn

from thresher.bench.contender import Contender, Variant, swapped
from thresher.bench.contenders.csr import linear_only
from thresher.core.mask import Mask


def _build(model: nn.Module, mask: Mask, inputs: Tensor) -> nn.Module:
    ops = importlib.import_module("sparselab.ops")
    # the cache of transposes goes by the address of a matrix, which a later matrix may be given again
    ops._clear_transpose_cache()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls compressed rows beta, once a process
        return swapped(model, mask, lambda layer, keep: _sparse(linear_only(layer)))


def _sparse(linear: nn.Linear) -> nn.Module:
    sparselab = importlib.import_module("sparselab")
    layer: nn.Module = sparselab.SparseLinear(linear.in_features, linear.out_features, bias=linear.bias is not None)
    # no spare room in the rows: this topology does not change, and padding would be multiplied and stored
    matrix = sparselab.PaddedCSR.from_dense(linear.weight.detach(), padding_ratio=0.0)
    layer._csr = matrix
    layer._values = nn.Parameter(torch.from_numpy(numpy.asarray(matrix.values)))
    if linear.bias is not None:
        layer.bias = nn.Parameter(linear.bias.detach().clone())
    transpose = sparselab.ops._cached_transpose(matrix)
    permutation = sparselab.ops._transpose_cache[id(matrix)][3]
    # as buffers, to be counted; the transpose's values are a second copy, no parameter
    held = [array for m in (matrix, transpose) for array in (m.col_indices, m.row_start, m.row_nnz, m.row_capacity)]
    for place, array in enumerate([*held, transpose.values, permutation]):
        layer.register_buffer(f"index{place}", torch.from_numpy(numpy.asarray(array)), persistent=False)
    return layer


SPARSELAB = Contender({"rows": Variant(_build)}, package="sparselab")
