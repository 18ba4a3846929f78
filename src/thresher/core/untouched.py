"""Looking at a model without leaving a trace: mode, buffers, gradients and random state come back."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn

from thresher.core.seeds import isolated_random_state


@contextmanager
def untouched(model: nn.Module, training: bool) -> Iterator[None]:
    """Inside, `model` is in the given mode; afterwards every module's mode and the random state are back.

    Parameters and buffers are protected by calling through `call_with`, never `model(...)`, inside.
    """
    modes = [(module, module.training) for module in model.modules()]
    # cuDNN's recurrent kernels have no backward in evaluation mode and no second derivative in any
    recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
    # flags() resets every flag it is not given, `deterministic` among them: call it only to switch cuDNN off
    cudnn = torch.backends.cudnn.flags(enabled=False) if recurrent else nullcontext()
    with isolated_random_state(), cudnn:
        try:
            model.train(training)
            yield
        finally:
            for module, mode in modes:
                module.training = mode


def call_with(
    model: nn.Module,
    parameters: Mapping[str, Tensor],
    inputs: Tensor,
    buffers: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """The output for `inputs` with `parameters` (and `buffers`) in place of the model's own, ties included.

    All other buffers are copies, so that batch statistics seen here are forgotten. The first tensor of a tuple
    output is taken (recurrent layers return state beside it). Cost: one forward pass, a copy of the buffers.
    """
    own = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
    try:
        given = {**own, **(buffers or {}), **parameters}
        output = torch.func.functional_call(model, _everywhere(model, given), (inputs,), tie_weights=False)
    finally:
        _forget_flat_weights(model)
    return first_tensor(output)


def _everywhere(model: nn.Module, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`given`, under every name that a tied tensor has, but once for a module that is there under several.

    torch's own tying swaps the tensor of such a module twice, and puts the first substitute back in its place.
    """
    named = (*model.named_parameters(), *model.named_buffers())
    substitutes = {id(tensor): given[name] for name, tensor in named if name in given}
    places = {
        f"{prefix}.{name}" if prefix else name: tensor
        for prefix, module in model.named_modules()
        for own in (module.named_parameters, module.named_buffers)
        for name, tensor in own(recurse=False, remove_duplicate=False)
    }
    return {name: substitutes[id(tensor)] for name, tensor in places.items() if id(tensor) in substitutes}


def _forget_flat_weights(model: nn.Module) -> None:
    """Recurrent layers list their weights a second time, and the list would go on holding the substitutes."""
    for module in model.modules():
        if isinstance(module, nn.RNNBase):
            module._init_flat_weights()  # private, but the one place that renews the list and what guards it


def first_tensor(output: object) -> Tensor:
    """`output` itself, or the first tensor of a tuple or list; TypeError for anything else."""
    while isinstance(output, tuple | list) and output:
        output = output[0]
    if not isinstance(output, Tensor):
        raise TypeError(f"the model returned {type(output).__name__}; expected a tensor or a tuple led by one")
    return output
