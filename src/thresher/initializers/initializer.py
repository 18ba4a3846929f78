"""What an initializer is: a model and a generator in; weights drawn in place, and a row on each of them out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from thresher.core.errors import ArgumentError
from thresher.core.prunable import prunable


@dataclass(frozen=True)
class Initialized:
    """What an initializer did to one weight, and what it could not: `shortfall` is empty where nothing is missing."""

    name: str
    done: str
    shortfall: str = ""


class Initializer(Protocol):
    """Draws the weights that training, or pruning, starts from."""

    def initialize_(self, model: nn.Module, generator: torch.Generator) -> tuple[Initialized, ...]:
        """Draw every prunable weight of `model` anew from `generator`, in place, and zero the layers' biases.

        Comes out: one row a weight, in the model's own order. Raises ArgumentError for a model with sparse layers.
        """
        ...


@torch.no_grad()
def draw_maps_(model: nn.Module, draw: Callable[[nn.Module, Tensor], Initialized]) -> tuple[Initialized, ...]:
    """Zero the biases of `model` and hand each linear map of its weights to `draw`, with the layer it is in.

    The maps are views along a weight's first dimension, as many as `linear_maps` says, each to be filled. `draw`
    answers with a row, whose name is put in here.
    """
    require_dense(model)
    maps = linear_maps(model)
    rows = []
    for name, parameter in prunable(model, biases=True).items():
        if name not in maps:
            parameter.zero_()
            continue
        layer, count = maps[name]
        drawn = [draw(layer, part) for part in parameter.detach().chunk(count)]
        each = f", each of {count} maps" if count > 1 else ""
        rows.append(Initialized(name, drawn[0].done + each, drawn[0].shortfall))
    return tuple(rows)


def require_dense(model: nn.Module) -> None:
    """Raise ArgumentError if `model` has sparse layers: they hold no weights to draw where nothing is kept."""
    # told by what they can do: their class is of a package beside this one
    stored = [name or "the model" for name, module in model.named_modules() if hasattr(module, "sparse_weights")]
    if stored:
        raise ArgumentError(
            f"an initializer draws whole weights, and {', '.join(stored)} store kept weights only: initialize "
            "th.densify(model), then th.sparsify that"
        )


def linear_maps(model: nn.Module) -> dict[str, tuple[nn.Module, int]]:
    """Name of a prunable weight → the layer it is in and how many linear maps are stacked in it.

    Those are the gates of a recurrent weight, the projections of an attention weight, the groups of a convolution.
    """
    layers: dict[int, nn.Module] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            layers.setdefault(id(parameter), module)
    stacked = gates(model)
    found = {}
    for name, weight in prunable(model).items():
        layer = layers[id(weight)]
        found[name] = layer, layer.groups if isinstance(layer, _ConvNd) else stacked.get(id(weight), 1)
    return found


def gates(model: nn.Module) -> dict[int, int]:
    """id of a weight → how many gates are stacked in it, or projections in an attention weight."""
    stacked: dict[int, int] = {}
    for module in model.modules():
        count = 1
        if isinstance(module, nn.LSTM | nn.LSTMCell):
            count = 4
        elif isinstance(module, nn.GRU | nn.GRUCell):
            count = 3
        for name, parameter in module.named_parameters(recurse=False):
            if name.startswith(("weight_ih", "weight_hh")):
                stacked[id(parameter)] = count
            elif name == "in_proj_weight":
                stacked[id(parameter)] = 3
    return stacked
