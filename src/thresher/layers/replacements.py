"""Which class takes the place of which: the tables that sparsify and densify read."""

from torch import nn

from thresher.layers.conv import SparseConv1d, SparseConv2d
from thresher.layers.gru import SparseGRU
from thresher.layers.linear import SparseLinear
from thresher.layers.lstm import SparseLSTM
from thresher.layers.normalization import InnermostBatchNorm1d, InnermostBatchNorm2d
from thresher.layers.pooling import (
    InnermostAdaptiveAvgPool2d,
    InnermostAdaptiveMaxPool2d,
    InnermostAvgPool2d,
    InnermostMaxPool2d,
)
from thresher.layers.sparse_layer import SparseLayer

SPARSE: dict[type[nn.Module], type[SparseLayer]] = {
    nn.Linear: SparseLinear,
    nn.Conv1d: SparseConv1d,
    nn.Conv2d: SparseConv2d,
    nn.LSTM: SparseLSTM,
    nn.GRU: SparseGRU,
}

# what stands between sparse layers: same parameters and keys, another forward
INNERMOST: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: InnermostBatchNorm1d,
    nn.BatchNorm2d: InnermostBatchNorm2d,
    nn.MaxPool2d: InnermostMaxPool2d,
    nn.AvgPool2d: InnermostAvgPool2d,
    nn.AdaptiveAvgPool2d: InnermostAdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d: InnermostAdaptiveMaxPool2d,
}
