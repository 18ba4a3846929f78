"""An input to look at a model with, when only its shape matters."""

import torch
from torch import Tensor, nn

from thresher.core.errors import ArgumentError


def example_input(model: nn.Module, given: Tensor | None = None) -> Tensor:
    """A batch of one example whose values do not matter: `given`'s first, or ones of the shape the model takes.

    The shape is the model's own ``input_shape`` (channels, height, width; every model of `thresher.models` has
    it), or, for a model that starts with a linear or recurrent layer, what that layer reads.
    Raises ArgumentError if neither tells, naming the argument to pass.

    >>> example_input(nn.Sequential(nn.Linear(4, 2))).shape
    torch.Size([1, 4])
    """
    parameter = next(model.parameters(), None)
    if parameter is None:
        raise ArgumentError(f"{type(model).__name__} has no parameters")
    if given is not None:
        return given.narrow(_batch_dimension(model), 0, 1).to(parameter.device)
    shape = getattr(model, "input_shape", None)
    shape = _shape_by_first_layer(model) if shape is None else (1, *shape)
    return torch.ones(shape, device=parameter.device, dtype=parameter.dtype)


def _batch_dimension(model: nn.Module) -> int:
    """1 for a model that starts with a recurrent layer that wants its steps first, else 0."""
    # modules come in the order they were registered, which is the order they run in for nearly every model
    first = next(m for m in model.modules() if next(m.parameters(recurse=False), None) is not None)
    return int(isinstance(first, nn.RNNBase) and not first.batch_first)


def _shape_by_first_layer(model: nn.Module) -> tuple[int, ...]:
    for module in model.modules():
        if isinstance(module, nn.Linear):
            return (1, module.in_features)
        if isinstance(module, nn.RNNBase):
            steps = 4  # any number reaches every weight once there are two
            return (1, steps, module.input_size) if module.batch_first else (steps, 1, module.input_size)
        if next(module.parameters(recurse=False), None) is not None:
            break
    raise ArgumentError(
        f"the input shape of {type(model).__name__} is not known: pass example=, a tensor shaped as one batch "
        "(--input-shape on the command line)"
    )
