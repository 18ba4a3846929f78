"""Dense torch, every weight in place: what there is to beat."""

import copy

import torch
from torch import Tensor, nn

from thresher.bench.contender import Contender, Unable, Variant
from thresher.core.mask import Mask


def _contiguous(model: nn.Module, mask: Mask, inputs: Tensor) -> nn.Module:
    return copy.deepcopy(model)


def _channels_last(model: nn.Module, mask: Mask, inputs: Tensor) -> nn.Module:
    if not any(isinstance(module, nn.Conv2d) for module in model.modules()):
        raise Unable("no convolution")
    copied: nn.Module = copy.deepcopy(model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return copied


DENSE = Contender(
    {"contiguous": Variant(_contiguous), "channels-last": Variant(_channels_last, "channels-last")}, sparse=False
)
