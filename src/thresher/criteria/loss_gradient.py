"""∂L/∂θ on one batch with given weights, for the criteria that need it."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from thresher.core.batch import Batch, Loss
from thresher.core.errors import ArgumentError, NonFiniteError
from thresher.core.loss_value import loss_value
from thresher.core.untouched import call_with


def leaves(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of `weights` to differentiate by."""
    return {name: weight.detach().clone().requires_grad_() for name, weight in weights.items()}


def loss_gradient(
    model: nn.Module,
    weights: Mapping[str, Tensor],
    loss: Loss,
    batch: Batch,
    *,
    temperature: float = 1.0,
    create_graph: bool = False,
) -> tuple[Tensor, ...]:
    """∂ loss(model(x) / temperature, y) / ∂ each of `weights`, in their order; zero where it does not depend.

    Raises ArgumentError if the loss is no scalar or was not built by differentiable operations, and
    NonFiniteError if it is NaN or infinite.
    Cost: one forward and one backward pass.
    """
    inputs, targets = batch
    with torch.enable_grad():
        value = loss_value(loss, call_with(model, weights, inputs) / temperature, targets)
        if not bool(value.isfinite()):
            raise NonFiniteError(
                f"the loss is {value.item()} on a batch of {len(inputs)} examples before any training: "
                "check the inputs' scale and the initialisation"
            )
        if not value.requires_grad:
            raise ArgumentError(
                "the loss depends on no weight as far as autograd sees: look for detach(), item(), "
                "torch.no_grad() or torch.inference_mode() in the model, in the loss or around this call"
            )
        return torch.autograd.grad(
            value,
            list(weights.values()),
            create_graph=create_graph,
            allow_unused=True,
            materialize_grads=True,
        )
