"""Operations of sparse layers: signature, reference in torch, autograd, and the binding to the compiled kernels."""

from thresher.ops.batch_norm import batch_norm
from thresher.ops.conv2d import conv2d
from thresher.ops.example_gradient_norms import example_gradient_norms
from thresher.ops.example_norms import conv2d_example_norms, linear_example_norms
from thresher.ops.gru import gru
from thresher.ops.layout import batch_innermost, is_batch_innermost
from thresher.ops.linear import linear
from thresher.ops.lstm import lstm
from thresher.ops.matmul import sddmm, spmm, spmm_transposed
from thresher.ops.native import instruction_set
from thresher.ops.topology import Topology

__all__ = [
    "Topology",
    "batch_innermost",
    "batch_norm",
    "conv2d",
    "conv2d_example_norms",
    "example_gradient_norms",
    "gru",
    "instruction_set",
    "is_batch_innermost",
    "linear",
    "linear_example_norms",
    "lstm",
    "sddmm",
    "spmm",
    "spmm_transposed",
]
