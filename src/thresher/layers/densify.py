"""Densify: a model with sparse layers → plain layers and plain keys."""

import copy
from functools import partial

import torch
from torch import nn

from thresher.layers.exchange import exchange_modules, exchange_parameters, owners
from thresher.layers.masked_parameter import MaskedParameter
from thresher.layers.replacements import INNERMOST
from thresher.layers.sparse_layer import SparseLayer


def densify(model: nn.Module, *, optimizer: torch.optim.Optimizer | None = None) -> nn.Module:
    """A copy of `model` with torch's own layers where `sparsify` put others; removed weights are zero.

    Nothing holds them there any more: `FixedMask` does, or another `sparsify`. A model without sparse layers is
    copied as it is. `optimizer`, one that trains `model`, trains the copy from now on, its state zero where the
    weights are. `model` itself is not touched.

    Raises ArgumentError if the optimizer is another model's, or holds what cannot be carried over.
    Cost: memory for the dense weights.

    >>> from thresher.core import Mask
    >>> from thresher.layers import sparsify
    >>> net = nn.Sequential(nn.Linear(2, 1))
    >>> fast = sparsify(net, Mask({"0.weight": torch.tensor([[True, False]])}), policy="always")
    >>> densify(fast)[0], densify(fast)[0].weight[0, 1].item()
    (Linear(in_features=2, out_features=1, bias=True), 0.0)
    """
    copied = copy.deepcopy(model)
    result = exchange_modules(copied, {m: m.to_dense() for m in copied.modules() if isinstance(m, SparseLayer)})
    for parameter, places in owners(result).items():
        if isinstance(parameter, MaskedParameter):
            plain = nn.Parameter(parameter.data, parameter.requires_grad)
            for module, name in places:
                setattr(module, name, plain)
    of_torch = {innermost: plain for plain, innermost in INNERMOST.items()}
    for module in result.modules():
        module.__class__ = of_torch.get(type(module), type(module))
    if optimizer is not None:
        scatterers = {
            f"{prefix}.{name}" if prefix else name: partial(module.dense, name)
            for prefix, module in model.named_modules(remove_duplicate=False)
            if isinstance(module, SparseLayer)
            for name in module.sparse_weights
        }
        exchange_parameters(optimizer, model, result, scatterers)
    return result
