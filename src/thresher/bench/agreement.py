"""Nobody wins by computing something else: outputs and gradients are compared before anything is timed."""

import copy
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from thresher.bench.contender import Unable
from thresher.bench.work import trainable

_OUTPUT, _GRADIENT = 1e-4, 1e-2  # sums in another order, which turn a ReLU here and there; wrong is far beyond


class Answers(NamedTuple):
    """What a module computes for a batch.

    output: [N, …]; to_inputs: like the inputs, or None for inference.
    to_weights: Σ p·∂p and Σ |p·∂p| over every parameter, which do not depend on how the parameters are stored.
    """

    output: Tensor
    to_inputs: Tensor | None
    to_weights: tuple[float, float]


def answers(module: nn.Module, inputs: Tensor, train: bool) -> Answers:
    """Output of `module`, in training or evaluation mode, and in training the gradients of Σ output·cos(index)."""
    module.train(train)
    if not train:
        with torch.inference_mode():
            return Answers(module(inputs).clone(), None, (0.0, 0.0))
    leaf = inputs.detach().requires_grad_()
    output = module(leaf)
    gradient = torch.arange(output.numel(), dtype=torch.float32).cos().view(output.shape)
    towards = torch.empty_like(output).copy_(gradient)  # in the output's own strides
    parameters = trainable(module)
    to_inputs, *to_parameters = torch.autograd.grad(output, [leaf, *parameters], towards)
    products = [(p.detach() * g).double() for p, g in zip(parameters, to_parameters, strict=True)]
    signed, unsigned = sum(float(p.sum()) for p in products), sum(float(p.abs().sum()) for p in products)
    return Answers(output.detach(), to_inputs.detach(), (signed, unsigned))


@dataclass(frozen=True)
class Expected:
    """The answers in float64, and how far a deep network's gradients may be from them.

    A sum in another order turns a ReLU here and there. How much that matters depends on the network, and is seen in
    dense float32 itself: four times its own distance is allowed, or `_GRADIENT` where that is more.
    """

    right: Answers
    gradient: float

    @classmethod
    def of(cls, module: nn.Module, inputs: Tensor, train: bool) -> "Expected":
        """What the dense `module` computes for `inputs`; it is left as it is."""
        right = answers(copy.deepcopy(module).double(), inputs.double(), train)
        plain = answers(copy.deepcopy(module), inputs, train)
        return cls(right, max(_GRADIENT, 4 * max(_gradient_distances(plain, right))))


def require_agreement(came: Answers, expected: Expected) -> None:
    """Raise Unable unless `came` is what was `expected`, to float32 accuracy."""
    _require("output", _distance(came.output, expected.right.output), _OUTPUT)
    to_inputs, to_weights = _gradient_distances(came, expected.right)
    _require("gradient of the inputs", to_inputs, expected.gradient)
    _require("gradient of the weights", to_weights, expected.gradient)


def _gradient_distances(came: Answers, right: Answers) -> tuple[float, float]:
    """Relative distances of the gradients of inputs and weights; zeros for inference, which has none."""
    if came.to_inputs is None or right.to_inputs is None:
        return 0.0, 0.0
    difference = abs(came.to_weights[0] - right.to_weights[0])
    return _distance(came.to_inputs, right.to_inputs), difference / max(right.to_weights[1], 1e-30)


def _distance(came: Tensor, expected: Tensor) -> float:
    """‖came − expected‖ / ‖expected‖; infinite where the shapes differ."""
    if came.shape != expected.shape:
        return float("inf")
    return float((came.double() - expected).norm() / expected.norm().clamp_min(1e-30))


def _require(what: str, error: float, allowed: float) -> None:
    if not error <= allowed:  # NaN is no agreement
        raise Unable(f"wrong {what}: relative error {error:.2g}, allowed {allowed:g}")
