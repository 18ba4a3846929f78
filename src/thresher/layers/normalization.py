"""Batch normalization that keeps the batch innermost."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from thresher.ops import batch_norm, is_batch_innermost
from thresher.ops.native import is_plain


class InnermostBatchNorm1d(nn.BatchNorm1d):
    """``nn.BatchNorm1d``, without transposing copies where the input lies batch innermost; so does its output then."""

    def forward(self, input: Tensor) -> Tensor:
        """[N, C] or [N, C, L], normalized per channel."""
        if not is_batch_innermost(input) or input.numel() == 0:
            return super().forward(input)
        if _by_kernel(self, input):
            return _normalized(self, input)
        return _unfolded(super().forward(_folded(input).squeeze(2)), input)


class InnermostBatchNorm2d(nn.BatchNorm2d):
    """``nn.BatchNorm2d``, without transposing copies where the input lies batch innermost; so does its output then."""

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, H, W], normalized per channel."""
        if not is_batch_innermost(input) or input.numel() == 0:
            return super().forward(input)
        if _by_kernel(self, input):
            return _normalized(self, input)
        return _unfolded(super().forward(_folded(input)), input)


def _by_kernel(layer: _BatchNorm, x: Tensor) -> bool:
    """Whether the batch's own statistics are wanted of numbers the kernel takes; torch refuses a single one."""
    by_batch = layer.training or layer.running_mean is None
    known = x.dtype in (torch.float32, torch.float64) and (layer.weight is None or layer.weight.dtype is x.dtype)
    return by_batch and known and is_plain(x) and x.device.type == "cpu" and x.numel() > x.shape[1]


def _normalized(layer: _BatchNorm, x: Tensor) -> Tensor:
    layer._check_input_dim(x)  # type: ignore[no-untyped-call]
    y, mean, variance = batch_norm(x, layer.weight, layer.bias, layer.eps)
    if layer.training and layer.track_running_stats and layer.running_mean is not None:
        assert layer.running_var is not None
        assert layer.num_batches_tracked is not None
        with torch.no_grad():
            layer.num_batches_tracked.add_(1)
            momentum = 1.0 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
            num = x.numel() // x.shape[1]
            layer.running_mean.lerp_(mean.to(layer.running_mean.dtype), momentum)
            # torch keeps the unbiased variance, and normalizes by the other
            layer.running_var.lerp_((variance * (num / (num - 1))).to(layer.running_var.dtype), momentum)
    return y


def _folded(x: Tensor) -> Tensor:
    """The memory of `x` [N, C, …] as one contiguous example [1, C, 1, … · N], whose statistics are the same."""
    return x.movedim(0, -1).reshape(1, x.shape[1], 1, -1)


def _unfolded(folded: Tensor, like: Tensor) -> Tensor:
    return folded.view(*like.shape[1:], like.shape[0]).movedim(-1, 0)
