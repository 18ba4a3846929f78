"""Putting modules, parameters and optimizer state in the place of others."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from thresher.core.errors import ArgumentError


def exchange_modules(root: nn.Module, replacements: Mapping[nn.Module, nn.Module]) -> nn.Module:
    """`root`, or what replaces it, with every module of `replacements` replaced wherever it is registered.

    A replacement takes over the hooks of what it replaces.
    """
    for old, new in replacements.items():
        vars(new).update({name: hooks for name, hooks in vars(old).items() if "hook" in name})
    for module in list(root.modules()):
        for name, child in list(module._modules.items()):  # named_children() would skip a second name
            if child is not None and child in replacements:
                module.register_module(name, replacements[child])
    return replacements.get(root, root)


def owners(model: nn.Module) -> dict[nn.Parameter, list[tuple[nn.Module, str]]]:
    """Parameter → the modules that hold it, each with the name it has there; more than one if it is shared."""
    found: dict[nn.Parameter, list[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            found.setdefault(parameter, []).append((module, name))
    return found


def exchange_parameters(
    optimizer: torch.optim.Optimizer,
    old: nn.Module,
    new: nn.Module,
    reshaped: Mapping[str, Callable[[Tensor], Tensor]],
) -> None:
    """Make `optimizer` train the parameters of `new` in the place of those of `old`, which have the same names.

    Its state moves along; what has a parameter's own shape goes through the function that `reshaped` has for the
    parameter's name. Raises ArgumentError, before anything is changed, if it trains no parameter of `old`, or holds
    state that cannot be reshaped, as Adafactor's factors.
    """
    names = {parameter: name for name, parameter in old.named_parameters()}
    successors = dict(new.named_parameters(remove_duplicate=False))
    groups: list[list[nn.Parameter]] = [group["params"] for group in optimizer.param_groups]
    trained = [parameter for group in groups for parameter in group if parameter in names]
    if not trained:
        raise ArgumentError(
            f"the optimizer updates no parameter of this {type(old).__name__}: pass the one that trains it"
        )
    moved: dict[Tensor, dict[str, Any]] = {}
    for parameter in trained:
        name = names[parameter]
        if parameter in optimizer.state:
            moved[successors[name]] = _moved(optimizer.state[parameter], parameter, name, reshaped.get(name))
    for group in groups:
        group[:] = [successors[names[parameter]] if parameter in names else parameter for parameter in group]
    for parameter in trained:
        optimizer.state.pop(parameter, None)
    optimizer.state.update(moved)


def _moved(
    state: Mapping[str, Any], parameter: Tensor, name: str, reshape: Callable[[Tensor], Tensor] | None
) -> dict[str, Any]:
    if reshape is None:
        return dict(state)
    moved = dict(state)
    for slot, value in state.items():
        if isinstance(value, Tensor) and value.shape == parameter.shape:
            moved[slot] = reshape(value)
        elif not isinstance(value, int | float | bool) and not (isinstance(value, Tensor) and value.numel() == 1):
            came = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ArgumentError(
                f"the optimizer's {slot} of {name} is {came}, not of the weight's shape {list(parameter.shape)}: it "
                "cannot be carried over; make a new optimizer for the new model instead of passing optimizer="
            )
    return moved
