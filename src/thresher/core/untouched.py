"""Looking at a model without leaving a trace: mode, buffers, gradients and random state come back."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from thresher.core.seeds import isolated_random_state


@contextmanager
def untouched(model: nn.Module, training: bool) -> Iterator[None]:
    """Inside, `model` is in the given mode; afterwards every module's mode and the random state are back.

    Parameters and buffers are protected by calling through `call_with`, never `model(...)`, inside.
    """
    modes = [(module, module.training) for module in model.modules()]
    with isolated_random_state():
        try:
            model.train(training)
            yield
        finally:
            for module, mode in modes:
                module.training = mode


def call_with(model: nn.Module, parameters: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
    """The output for `inputs` with `parameters` in place of the model's own, tied names included.

    Buffers are copies, so that batch statistics seen here are forgotten. The first tensor of a tuple output
    is taken (recurrent layers return state beside it). Cost: one forward pass and a copy of the buffers.
    """
    buffers = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
    output = torch.func.functional_call(model, {**buffers, **parameters}, (inputs,))
    return first_tensor(output)


def first_tensor(output: object) -> Tensor:
    """`output` itself, or the first tensor of a tuple or list; TypeError for anything else."""
    while isinstance(output, tuple | list) and output:
        output = output[0]
    if not isinstance(output, Tensor):
        raise TypeError(f"the model returned {type(output).__name__}; expected a tensor or a tuple led by one")
    return output
