"""Multiply-adds of one forward pass, by the weight they read."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from thresher.analysis.tracing import (
    OPERANDS,
    TorchFunction,
    ordered,
    origin,
    plain_name,
    tensors_in,
)
from thresher.analysis.unfused import UNFUSED
from thresher.core.mask import Mask
from thresher.core.recurrent import RECURRENT, RECURRENT_CELLS


class MacCounter(TorchFunctionMode):
    """Inside ``with counter:``, `dense` and `kept` gather MACs per parameter name, `unweighted` the others.

    A weight's MACs are its size times how often the call uses each of its elements (rows of a linear layer,
    output positions of a convolution, time steps of a recurrent one). A view or slice of a parameter counts as
    that part of it; a weight computed from parameters does not carry their names and counts as unweighted.
    Sums, normalisations, activations and look-ups are not MACs.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], mask: Mask) -> None:
        self.dense: Counter[str] = Counter()
        self.kept: Counter[str] = Counter()
        self.unweighted = 0
        self._names = {id(parameter): name for name, parameter in parameters.items()}
        # in the parameter's own strides, so that the strides of a view of it fit the mask
        self._masks = {
            id(parameters[name]): torch.empty_strided(p.size(), p.stride(), dtype=torch.bool).copy_(mask[name])
            for name, p in parameters.items()
            if name in mask
        }

    def __torch_function__(
        self,
        func: TorchFunction,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = plain_name(func)
        if name in UNFUSED:
            with self:
                return UNFUSED[name](*args, **kwargs)
        if name == "einsum":  # the order of its contractions is torch's to choose: count what it runs
            with FlopCounterMode(display=False) as flops:
                out = func(*args, **kwargs)
            self._count(list(tensors_in(args)), flops.get_total_flops() // 2)
            return out
        out = func(*args, **kwargs)
        if name in OPERANDS:
            self._contraction(name, ordered(OPERANDS[name], args, kwargs)[0], out)
        elif name in RECURRENT:
            # [time, batch, features], or [all steps, features] when packed: every weight is used once a step
            self._weights(list(tensors_in(args[2:4])), math.prod(args[0].shape[:-1]))
        elif name in RECURRENT_CELLS:
            self._weights(list(args[2:4]), math.prod(args[0].shape[:-1]))
        return out

    def _contraction(self, name: str, operands: list[Tensor], out: Tensor) -> None:
        first, second = operands[:2]
        if name in ("linear", "bilinear"):
            weight = operands[1 if name == "linear" else 2]
            self._count([weight], weight.numel() * math.prod(out.shape[:-1]))
        elif name.startswith("conv"):
            positions = first if "transpose" in name else out
            spatial = int(name[-2])  # conv2d → 2
            self._count([second], second.numel() * math.prod(positions.shape[-spatial:]) * _batch(first, spatial))
        elif name in ("addmm", "addmv", "baddbmm", "addbmm"):
            columns = operands[2].shape[-1] if name != "addmv" else 1
            self._count(operands[1:3], second.numel() * columns)
        elif name == "tensordot":
            # |out| = |a|·|b| / summed², so |out|·summed is the root
            self._count([first, second], math.isqrt(first.numel() * second.numel() * out.numel()))
        else:
            self._count([first, second], out.numel() * first.shape[-1])

    def _weights(self, tensors: list[Tensor], uses: int) -> None:
        for weight in tensors:
            if weight.dim() == 2 and id(origin(weight)) in self._names:
                self._count([weight], weight.numel() * uses)

    def _count(self, operands: list[Tensor], macs: int) -> None:
        for operand in operands:
            parameter = origin(operand)
            name = self._names.get(id(parameter))
            if name is not None and operand.numel():
                self.dense[name] += macs
                self.kept[name] += self._kept_in(operand, parameter) * macs // operand.numel()
                return
        self.unweighted += macs

    def _kept_in(self, operand: Tensor, parameter: Tensor) -> int:
        mask = self._masks.get(id(parameter))
        if mask is None:
            return operand.numel()
        offset = operand.storage_offset() - parameter.storage_offset()
        return int(mask.as_strided(operand.size(), operand.stride(), offset).sum())


def _batch(image: Tensor, spatial: int) -> int:
    return image.shape[0] if image.dim() == spatial + 2 else 1
