"""Bytes that training holds on to between steps."""

from collections.abc import Iterable
from typing import TypedDict

import torch
from torch import Tensor, nn


class Held(TypedDict):
    """Bytes after a training step; `total` is the sum of the others."""

    parameters: int
    gradients: int
    optimizer: int
    indices: int
    total: int


def held(module: nn.Module, optimizer: torch.optim.Optimizer, dense: nn.Module) -> Held:
    """The bytes of the parameters of `module`, their gradients, the optimizer's state and the indices.

    Indices are what `module` has in buffers beyond `dense`, the model it was made from. Whole allocations count,
    each once however many tensors share it. Activations are not among it.
    """
    parameters = list(module.parameters())
    state = [value for entry in optimizer.state.values() for value in entry.values() if isinstance(value, Tensor)]
    weights = _bytes(parameters)
    gradients = _bytes(p.grad for p in parameters if p.grad is not None)
    momentum = _bytes(state)
    indices = _bytes(module.buffers()) - _bytes(dense.buffers())
    total = weights + gradients + momentum + indices
    return Held(parameters=weights, gradients=gradients, optimizer=momentum, indices=indices, total=total)


def _bytes(tensors: Iterable[Tensor]) -> int:
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())
