"""How a network with positive weights and inputs is run so that signals only ever add up."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from thresher.core.recurrent import RECURRENT, RECURRENT_CELLS, recurrent_cell, recurrent_layer


class PositiveTwin(TorchFunctionMode):
    """Inside, functions that would subtract or saturate are replaced by their positive linear part.

    Norms keep scale and shift and drop the mean (and the statistics of the example itself); tanh, sigmoid,
    hardsigmoid, hardtanh, relu6, softmax and log_softmax act as the identity; recurrent layers are unrolled into
    sums over their gates. Everything else runs as it is.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        replaced = _REPLACED.get(function) or _RECURRENT.get(getattr(function, "__name__", ""), function)
        return replaced(*args, **(kwargs or {}))


def _identity(input: Tensor, *_: Any, **__: Any) -> Tensor:
    return input


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if running_var is not None:
        input = _per_channel(input, (running_var + eps).rsqrt(), None)
    return _per_channel(input, weight, bias)


def _instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *_: Any,
    **__: Any,
) -> Tensor:
    return _per_channel(input, weight, bias)


def _group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    return _per_channel(input, weight, bias)


def _layer_norm(
    input: Tensor,
    normalized_shape: list[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    input = input if weight is None else input * weight
    return input if bias is None else input + bias


def _rms_norm(
    input: Tensor, normalized_shape: list[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    return input if weight is None else input * weight


def _per_channel(input: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
    view = (-1, *(1 for _ in input.shape[2:]))
    input = input if scale is None else input * scale.view(view)
    return input if shift is None else input + shift.view(view)


# the fused recurrent functions go by several objects of one name
_RECURRENT: dict[str, Callable[..., Any]] = {
    **{name: partial(recurrent_layer, name) for name in RECURRENT},
    **{name: partial(recurrent_cell, name) for name in RECURRENT_CELLS},
}
_REPLACED: dict[Callable[..., Any], Callable[..., Any]] = {
    F.batch_norm: _batch_norm,
    F.instance_norm: _instance_norm,
    F.group_norm: _group_norm,
    F.layer_norm: _layer_norm,
    F.rms_norm: _rms_norm,
    F.hardtanh: _identity,
    F.relu6: _identity,
    F.hardsigmoid: _identity,
    F.log_softmax: _identity,
    F.softmax: _identity,
    torch.softmax: _identity,
    Tensor.softmax: _identity,
    F.tanh: _identity,
    F.sigmoid: _identity,
    torch.tanh: _identity,
    torch.tanh_: _identity,
    torch.sigmoid: _identity,
    torch.sigmoid_: _identity,
    torch.log_softmax: _identity,
    Tensor.tanh: _identity,
    Tensor.tanh_: _identity,
    Tensor.sigmoid: _identity,
    Tensor.sigmoid_: _identity,
    Tensor.log_softmax: _identity,
}
