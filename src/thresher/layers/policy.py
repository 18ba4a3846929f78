"""Which of the masked layers become sparse."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from thresher.layers.calibration import Probe
from thresher.layers.calls import Call, calls_of
from thresher.layers.cost_model import LayerCost, Link, cheapest
from thresher.layers.exchange import owners
from thresher.layers.remembered_costs import remembered_costs
from thresher.layers.replacements import SPARSE

Policy = Literal["auto", "always"]
MaskedLayers = Mapping[nn.Module, Mapping[str, Tensor]]
Costs = Callable[[Sequence[Probe]], list[LayerCost]]

_DTYPES = (torch.float32, torch.float64)
# they hand the weights of the layers inside them to fused functions of torch
_REACHING_IN = (nn.MultiheadAttention, nn.TransformerEncoderLayer)


def chosen(
    model: nn.Module,
    masked: MaskedLayers,
    policy: Policy,
    example: Tensor | None,
    batch: int,
    costs: Costs = remembered_costs,
) -> list[nn.Module]:
    """The layers among `masked` (layer → parameter name → keep) of the dense `model` that become sparse.

    "always": all that can. "auto": those that make the training step cheapest, for the inputs that they get when
    `model` gets a batch of `batch` examples like `example` (see `core.example_input`), by what `costs` says that each
    layer costs dense and sparse; the layers are taken as a chain in the order of their use. A layer that is never
    used stays dense. Cost of "auto": one forward pass, and what `costs` takes.
    """
    able = able_layers(model, masked)
    if policy == "always" or not able:
        return able
    calls = calls_of(model, example)
    found = iter(costs([Probe(layer, call, batch) for layer in calls if layer in able for call in calls[layer]]))
    chain = []
    for layer, after in zip(calls, [*list(calls.values())[1:], []], strict=True):
        own = [_handed_on(next(found), call, after[:1]) for call in calls[layer]] if layer in able else []
        chain.append(Link(sum(own[1:], start=own[0]), _num_kept(layer, masked[layer])) if own else Link(None))
    return [layer for layer, sparse in zip(calls, cheapest(chain), strict=True) if sparse]


def able_layers(model: nn.Module, masked: MaskedLayers) -> list[nn.Module]:
    """The layers among `masked` that have a sparse form and whose weights nothing but the layer itself uses.

    Their class is exactly torch's: a subclass may compute something else. A tensor that several layers share stays
    dense, so that it stays shared, and so do layers inside a module that reaches for their weights.
    """
    shared = {module for places in owners(model).values() if len(places) > 1 for module, _ in places}
    reached = {child for module in model.modules() if isinstance(module, _REACHING_IN) for child in module.modules()}
    return [
        module
        for module, keep in masked.items()
        if type(module) in SPARSE
        and SPARSE[type(module)].supports(module)
        and any(name.startswith("weight") for name in keep)
        and all(parameter.dtype in _DTYPES for parameter in module.parameters())
        and module not in shared
        and module not in reached
    ]


def _handed_on(cost: LayerCost, call: Call, after: list[Call]) -> LayerCost:
    """`cost` with the way out of the layout for what the next layer reads, which may be pooled, or a last step."""
    read = math.prod(after[0].inputs) if after else math.inf
    return replace(cost, leaving=cost.leaving * min(1.0, read / max(math.prod(call.outputs), 1)))


def _num_kept(module: nn.Module, keep: Mapping[str, Tensor]) -> int:
    weights = {name: p for name, p in module.named_parameters() if name.startswith("weight")}
    return sum(int(keep[name].sum()) if name in keep else p.numel() for name, p in weights.items())
