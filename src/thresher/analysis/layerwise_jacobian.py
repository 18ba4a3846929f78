"""Singular values of each layer's Jacobian: where along the depth isometry is lost."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from thresher.analysis.jacobian import differentiable, in_double, require_apart, require_running_statistics
from thresher.analysis.singular_values import SingularValues, examples_at_once, pooled, singular_values
from thresher.core.batch import Data, read_batches
from thresher.core.errors import ArgumentError
from thresher.core.mask import Mask
from thresher.core.prunable import device_of, prunable
from thresher.core.seeds import generator
from thresher.core.untouched import call_with, untouched


def layerwise_jacobian(
    model: nn.Module, data: Data, *, mask: Mask | None = None, seed: int = 0
) -> dict[str, SingularValues]:
    """Layer name → singular values of D^l (C^l ⊙ W^l) at each example of `data`, pooled over the examples.

    Read as the derivative of what the next layer with weights takes in by what this one takes in, through this layer
    alone; the last layer's is that of the output. In a chain that is the layer and its activation (with pooling and
    normalization between, those too). What runs beside a layer, such as a skip connection, is not in it. A layer whose
    result does not enter the next one to run is left out: of two side by side that is the first, in our ResNets the
    last convolution of a block whose shortcut has weights, while the shortcut has a row. So is one that runs twice.

    Arguments, mode, precision and errors are those of `jacobian_singular_values`. The layers are those that own a
    prunable parameter; ArgumentError if one of them is sparse.
    Cost: a forward pass and, for each layer, a backward pass through it per unit, up to 512 of them; beyond that the
    estimate in `singular_values`. Source: Lee, Ajanthan, Gould, Torr (2020), equation 7 (thesis equation 4.7).

    >>> net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.ReLU(), nn.Linear(3, 1))
    >>> _ = net[0].weight.data.copy_(torch.diag(torch.tensor([2.0, 3.0, 5.0])))
    >>> layerwise_jacobian(net, [(torch.tensor([[1.0, 1.0, -1.0]]), torch.zeros(1))])["0"].values.tolist()
    [3.0, 2.0, 0.0]
    """
    require_running_statistics(model)
    weights, buffers = in_double(model, mask)
    draws = generator(seed, "layerwise-jacobian")
    parts: dict[str, list[SingularValues]] = {}
    with torch.inference_mode(False), torch.enable_grad(), untouched(model, training=False):
        for batch in read_batches(data, "layerwise-jacobian", device_of(dict(model.named_parameters()))):
            inputs = differentiable(batch[0])
            stretches = _stretches(model, weights, buffers, inputs).values()
            sizes = [(after[0].numel(), leaf[0].numel()) for leaf, after in stretches]
            widest = max(sizes, key=math.prod, default=(1, 1))
            for part in torch.split(inputs, examples_at_once(*widest)):
                for name, (leaf, after) in _stretches(model, weights, buffers, part).items():
                    parts.setdefault(name, []).append(singular_values(after, leaf, draws))
    return {name: pooled(found) for name, found in parts.items()}


def _stretches(
    model: nn.Module, weights: Mapping[str, Tensor], buffers: Mapping[str, Tensor], inputs: Tensor
) -> dict[str, tuple[Tensor, Tensor]]:
    """Layer name → what it takes in, and what the next one does (or the output), joined by autograd."""
    seen: list[tuple[str, Tensor, Tensor]] = []
    with _watching(layers_of(model), seen):
        start = inputs.detach().requires_grad_()
        output = call_with(model, weights, start.clone(), buffers)
    require_apart(model, output, start)
    ends = [before for _, before, _ in seen[1:]] + [output]
    names = [name for name, _, _ in seen]
    return {
        name: (leaf, after)
        for (name, _, leaf), after in zip(seen, ends, strict=True)
        if names.count(name) == 1 and len(leaf) == len(after) and _joined(after, leaf)
    }


def _joined(after: Tensor, leaf: Tensor) -> bool:
    if not after.requires_grad or not leaf.requires_grad:
        return False
    (found,) = torch.autograd.grad(after.sum(), leaf, retain_graph=True, allow_unused=True)
    return found is not None


def layers_of(model: nn.Module) -> dict[str, nn.Module]:
    """The modules that own a prunable parameter, by name, in the model's order; ArgumentError if one is sparse."""
    # told by what they can do: their class is of a package beside this one
    stored = [name or "the model" for name, module in model.named_modules() if hasattr(module, "sparse_weights")]
    if stored:
        raise ArgumentError(
            f"layers are looked at one by one in a dense model, and {', '.join(stored)} store kept weights only: pass "
            "th.densify(model)"
        )
    owners = {name.rpartition(".")[0] for name in prunable(model)}
    return {name: module for name, module in model.named_modules() if name in owners}


@contextmanager
def _watching(layers: Mapping[str, nn.Module], seen: list[tuple[str, Tensor, Tensor]]) -> Iterator[None]:
    def watch(name: str) -> object:
        def hook(module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            # the layer reads a copy: neither work in place nor a skip connection touches that
            copy = arguments[0].clone()
            seen.append((name, arguments[0], copy))
            return (copy, *arguments[1:])

        return hook

    handles = [module.register_forward_pre_hook(watch(name)) for name, module in layers.items()]  # type: ignore[arg-type]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
