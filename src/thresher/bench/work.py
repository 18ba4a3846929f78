"""What is timed: one call of each phase in turn makes one call of the whole."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD

# phase → what it does; the phases are called in order, again and again
Work: TypeAlias = Mapping[str, Callable[[], object]]


def layer_work(module: nn.Module, inputs: Tensor) -> Work:
    """A forward pass, and a backward pass to the inputs and every trainable parameter.

    The output's gradient lies in memory as the output does, which is how the next layer would return it.
    """
    leaves = [inputs.requires_grad_(), *trainable(module)]
    gradient = torch.randn_like(module(inputs))
    outputs: list[Tensor] = []

    def forward() -> None:
        outputs.append(module(inputs))

    def backward() -> None:
        torch.autograd.grad(outputs.pop(), leaves, gradient)

    return {"forward": forward, "backward": backward}


def step_work(module: nn.Module, inputs: Tensor, targets: Tensor) -> tuple[Work, SGD]:
    """A whole training step: clear, forward, cross-entropy, backward, SGD with momentum; and the optimizer."""
    # so small that hundreds of steps on one batch lead nowhere in particular
    optimizer = SGD(trainable(module), lr=1e-4, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(module(inputs), targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return {"step": step}, optimizer


def inference_work(module: nn.Module, inputs: Tensor) -> Work:
    """A forward pass in evaluation mode that records nothing for a backward pass."""
    module.eval()

    def infer() -> None:
        with torch.inference_mode():
            module(inputs)

    return {"inference": infer}


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that ask for a gradient."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]
