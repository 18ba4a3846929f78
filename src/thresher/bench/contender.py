"""What a contender is: a way to make, of a model and a mask, a module that computes the same."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from thresher.bench.cases import Kind
from thresher.core.errors import ThresherError
from thresher.core.mask import Mask

Layout: TypeAlias = Literal["contiguous", "channels-last", "batch-innermost"]
Build: TypeAlias = Callable[[nn.Module, Mask, Tensor], nn.Module]


class Unable(ThresherError):
    """A contender does not take a case, or gets it wrong; the message says why, in a few words."""


@dataclass(frozen=True)
class Variant:
    """One way to use a contender; the fastest of its variants is what counts.

    build: of (model, mask, a batch of inputs); leaves the model alone; raises `Unable`. The model's removed
        weights are zero, unless the contender is dense.
    layout: how the inputs lie in memory.
    kind: the kind of case it is for; None for both.
    """

    build: Build
    layout: Layout = "contiguous"
    kind: Kind | None = None


@dataclass(frozen=True)
class Contender:
    """One row of the table of contenders.

    package: what has to be installed, by the name it is imported and installed under; None for nothing.
    sparse: whether it leaves removed weights out of its arithmetic.
    trains: whether it takes part in training, not only in inference.
    """

    variants: Mapping[str, Variant]
    package: str | None = None
    sparse: bool = True
    trains: bool = True


def laid_out(inputs: Tensor, layout: Layout) -> Tensor:
    """A copy of `inputs` [N, …] in `layout`; channels-last is contiguous where there are no channels.

    >>> laid_out(torch.zeros(8, 3, 5, 5), "batch-innermost").stride()
    (1, 200, 40, 8)
    """
    if layout == "batch-innermost":
        return inputs.movedim(0, -1).clone(memory_format=torch.contiguous_format).movedim(-1, 0)
    if layout == "channels-last" and inputs.dim() == 4:
        return inputs.clone(memory_format=torch.channels_last)
    return inputs.clone(memory_format=torch.contiguous_format)


def swapped(model: nn.Module, mask: Mask, make: Callable[[nn.Module, Tensor], nn.Module]) -> nn.Module:
    """A copy of `model` in which each layer with a masked weight is what `make(layer, keep)` returns."""
    copied = copy.deepcopy(model)
    for name, keep in mask.items():
        owner, _, child = name.rpartition(".")[0].rpartition(".")
        setattr(copied.get_submodule(owner), child, make(copied.get_submodule(name.rpartition(".")[0]), keep))
    return copied
