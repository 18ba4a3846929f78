"""How a model uses its layers: in which order, and on inputs of which shape."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from thresher.core.example import example_input
from thresher.core.untouched import call_with, first_tensor, untouched


class Call(NamedTuple):
    """One use of a layer on one example: shapes of its input and output, and whether the input needs a gradient."""

    inputs: torch.Size
    outputs: torch.Size
    for_inputs: bool


def calls_of(model: nn.Module, example: Tensor | None) -> dict[nn.Module, list[Call]]:
    """Layer with weights → its uses in one forward pass of `model`, in the order of each one's first use.

    `example` is a tensor shaped as one batch of inputs; see `core.example_input`, which also says what is raised.
    A use without a tensor to read (a PackedSequence, arguments by name) leaves the layer with no call listed.
    Cost: one forward pass on one example, with what a backward pass would need kept until its end.
    """
    calls: dict[nn.Module, list[Call]] = {}
    unreadable: set[nn.Module] = set()

    def see(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        seen = calls.setdefault(module, [])
        if inputs and isinstance(inputs[0], Tensor) and module not in unreadable:
            seen.append(Call(inputs[0].shape, first_tensor(output).shape, inputs[0].requires_grad))
        else:
            unreadable.add(module)
            seen.clear()

    layers = [m for m in model.modules() if any(p.dim() > 1 for p in m.parameters(recurse=False))]
    hooks = [layer.register_forward_hook(see) for layer in layers]
    try:
        with untouched(model, training=False), torch.inference_mode(False), torch.enable_grad():
            call_with(model, {}, example_input(model, example))
    finally:
        for hook in hooks:
            hook.remove()
    return calls
