"""Sparsify: a masked model → the same architecture with truly sparse layers."""

import copy
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from thresher.core.errors import ArgumentError, MaskMismatchError
from thresher.core.mask import Mask
from thresher.layers.exchange import exchange_modules, exchange_parameters, owners
from thresher.layers.masked_parameter import MaskedParameter
from thresher.layers.policy import Policy, chosen
from thresher.layers.replacements import INNERMOST, SPARSE
from thresher.layers.sparse_layer import SparseLayer


def sparsify(
    model: nn.Module,
    mask: Mask,
    policy: Policy = "auto",
    *,
    example: Tensor | None = None,
    batch: int = 128,
    optimizer: torch.optim.Optimizer | None = None,
) -> nn.Module:
    """A copy of `model` in which the layers under `mask` store, train and multiply kept weights only.

    policy: "auto" swaps the layers that a cost model, calibrated on this machine, expects to be faster sparse;
        "always" all that have a sparse form: linear, 1-D and 2-D convolutional and recurrent ones of torch's own
        class in float32 or float64.
    example: for "auto", a tensor shaped as one batch of inputs, where the model does not tell its input's shape.
    batch: for "auto", how many examples a batch will have.
    optimizer: one that trains `model`. From now on it trains the copy, with the state it has; an optimizer made
        afterwards from the copy's parameters does as well. Gradients are not carried over.

    Parameters keep their names. A sparse weight is a Parameter [kept] (whoever sorts parameters by their number of
    dimensions finds it among the vectors); ``state_dict`` has the dense keys and shapes.
    Masked parameters that are not swapped, those of layers without a sparse form, of subclasses, shared ones and
    biases, stay dense and have their removed entries held at zero (`MaskedParameter` says within what limits).
    Batch normalization and 2-D pooling become subclasses that work on the sparse layers' memory layout as it is.
    `densify` undoes it. `model` itself is not touched. DistributedDataParallel sends every buffer, here three indices a
    weight, at each forward pass unless it is told not to sync buffers.

    Raises MaskMismatchError if the mask is for another model; ArgumentError if `model` is sparse already, not on the
    CPU, has a layer that has seen no batch, or if the optimizer is another model's or holds what cannot be carried
    over (then nothing is changed). Cost: a copy of the model, and for "auto" a forward
    pass and, the first time on a machine, the measuring of each layer: a tenth of a second to two seconds.

    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> keep = torch.tensor([[True, False, False, False]] * 3)
    >>> fast = sparsify(net, Mask({"0.weight": keep}), policy="always")
    >>> fast[0], [p.numel() for p in fast.parameters()]
    (SparseLinear(in_features=4, out_features=3, bias=True, kept=3, sparsity=0.75), [3, 3, 6, 2])
    """
    _check(model, mask, policy, batch)
    dense = copy.deepcopy(model)
    masks = _by_parameter(dense, mask)
    places = owners(dense)
    layers: dict[nn.Module, dict[str, Tensor]] = {}
    for parameter, keep in masks.items():
        for module, name in places[parameter]:
            layers.setdefault(module, {})[name] = keep
    sparse = {m: SPARSE[type(m)].from_dense(m, layers[m]) for m in chosen(dense, layers, policy, example, batch)}
    result = exchange_modules(dense, sparse)
    for parameter, keep in masks.items():
        _hold(parameter, keep, [(sparse.get(module, module), name) for module, name in places[parameter]])
    if sparse:
        for module in result.modules():
            module.__class__ = INNERMOST.get(type(module), type(module))
    if optimizer is not None:
        exchange_parameters(optimizer, model, result, _gatherers(result))
    return result


def _check(model: nn.Module, mask: Mask, policy: Policy, batch: int) -> None:
    if not isinstance(model, nn.Module) or not isinstance(mask, Mask):
        raise ArgumentError(
            f"sparsify takes a torch.nn.Module and a th.Mask: got {type(model).__name__} and {type(mask).__name__}"
        )
    if policy not in ("auto", "always"):
        raise ArgumentError(f"policy is 'auto' or 'always': got {policy!r}")
    if batch < 1:
        raise ArgumentError(f"batch is a number of examples, at least 1: got {batch}")
    for name, parameter in model.named_parameters():
        if isinstance(parameter, MaskedParameter):
            raise ArgumentError(f"{name} was sparsified before: call densify first")
        if is_lazy(parameter):
            raise ArgumentError(f"{name} has no shape yet: run one batch through the model first")
    for name, module in model.named_modules():
        if isinstance(module, SparseLayer):
            raise ArgumentError(f"{name or 'the model'} is a {type(module).__name__} already: call densify first")
    for name, parameter in mask.parameters_of(model).items():
        if parameter.device.type != "cpu":
            raise ArgumentError(
                f"sparse layers run on the CPU: {name} is on {parameter.device}; train the dense model under a "
                "th.FixedMask there, or move it with .to('cpu') first"
            )


def _by_parameter(model: nn.Module, mask: Mask) -> dict[nn.Parameter, Tensor]:
    masks: dict[nn.Parameter, Tensor] = {}
    for name, parameter in mask.parameters_of(model).items():
        keep = mask[name].to(parameter.device)
        if not torch.equal(masks.setdefault(parameter, keep), keep):
            raise MaskMismatchError(f"{name} is one tensor with another of the mask, which has it otherwise")
    return masks


def _hold(parameter: nn.Parameter, keep: Tensor, places: list[tuple[nn.Module, str]]) -> None:
    """Hold what stays dense at zero where it is removed, one Parameter in all its places."""
    if bool(keep.all()) or any(isinstance(m, SparseLayer) and name in m.sparse_weights for m, name in places):
        return
    held = MaskedParameter(parameter, keep, parameter.requires_grad)
    for module, name in places:
        setattr(module, name, held)


def _gatherers(model: nn.Module) -> dict[str, Callable[[Tensor], Tensor]]:
    """Parameter name → what turns a dense state of it into that of the sparse model."""
    found: dict[str, Callable[[Tensor], Tensor]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if isinstance(parameter, MaskedParameter):
            found[name] = partial(_zeroed, parameter.keep)
    for prefix, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, SparseLayer):
            found |= {_joined(prefix, name): partial(module.gathered, name) for name in module.sparse_weights}
    return found


def _zeroed(keep: Tensor, state: Tensor) -> Tensor:
    return state.masked_fill(~keep, 0)


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
