"""What every sparse operation asks of its arguments."""

import torch
from torch import Tensor

from thresher.core.errors import ArgumentError
from thresher.ops.topology import Topology

_DTYPES = (torch.float32, torch.float64)


def accepted(operation: str, x: Tensor, values: Tensor) -> Tensor:
    """`x` as the kernels can take it: under ``torch.autocast`` in the dtype of `values`, else as it is.

    Raises ArgumentError for a dtype other than float32 and float64, for two dtypes, off the CPU, and under a
    transform of torch.func.
    """
    if torch._C._are_functorch_transforms_active():
        raise ArgumentError(
            f"{operation} has no rules for the transforms of torch.func: transform the dense model, "
            "thresher.densify(model)"
        )
    if x.dtype is not values.dtype:
        if not torch.is_autocast_enabled(x.device.type):
            raise ArgumentError(
                f"{operation}: the input is {x.dtype}, the layer {values.dtype}: convert one of them with .to()"
            )
        x = x.to(values.dtype)
    if values.dtype not in _DTYPES:
        raise ArgumentError(
            f"{operation} computes in float32 or float64: got {values.dtype}; keep the model in float32 (under "
            "torch.autocast its sparse layers stay there by themselves)"
        )
    if x.device.type != "cpu" or values.device.type != "cpu":
        raise ArgumentError(
            f"{operation} runs on the CPU: got an input on {x.device} and weights on {values.device}; on other "
            "devices train the dense model under a FixedMask (--engine masked)"
        )
    return x


def check_weights(operation: str, values: Tensor, bias: Tensor | None, topology: Topology) -> None:
    """Raises ArgumentError unless `values` is [kept] and `bias` [rows] of their dtype: kernels trust both."""
    if values.shape != (topology.kept,):
        raise ArgumentError(f"{operation}: {topology.kept} entries are kept, got values of shape {list(values.shape)}")
    if bias is None:
        return
    if bias.shape != (topology.num_rows,) or bias.dtype is not values.dtype or bias.device != values.device:
        raise ArgumentError(
            f"{operation}: the bias is {values.dtype} [{topology.num_rows}] on {values.device}, got {bias.dtype} "
            f"{list(bias.shape)} on {bias.device}"
        )
