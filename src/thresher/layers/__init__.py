"""Sparse layers: kept weights alone are stored, trained and multiplied. The swap there and back is one call."""

from thresher.layers.conv import SparseConv1d, SparseConv2d
from thresher.layers.densify import densify
from thresher.layers.gru import SparseGRU
from thresher.layers.linear import SparseLinear
from thresher.layers.lstm import SparseLSTM
from thresher.layers.masked_parameter import MaskedParameter
from thresher.layers.replace_connections import replace_connections
from thresher.layers.replacements import INNERMOST, SPARSE
from thresher.layers.sparse_layer import SparseLayer
from thresher.layers.sparsify import sparsify

__all__ = [
    "INNERMOST",
    "SPARSE",
    "MaskedParameter",
    "SparseConv1d",
    "SparseConv2d",
    "SparseGRU",
    "SparseLSTM",
    "SparseLayer",
    "SparseLinear",
    "densify",
    "replace_connections",
    "sparsify",
]
