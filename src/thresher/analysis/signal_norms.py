"""Sizes of activations and gradients by depth: whether signals die out or grow on their way."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from thresher.analysis.jacobian import in_double
from thresher.analysis.layerwise_jacobian import layers_of
from thresher.core.batch import Data, Loss, read_batches
from thresher.core.loss_value import loss_value
from thresher.core.mask import Mask
from thresher.core.prunable import device_of
from thresher.core.untouched import call_with, untouched

# their units are channels; elsewhere features come last
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True)
class SignalNorm:
    """Of one layer with weights, a mean over examples each.

    activation: √(mean of squares) of what the layer returns, before its activation function.
    gradient: √(sum of squares) of the derivative of the example's own loss by that.
    dead: the fraction of its units that are at their bias for every example: nothing that is read reaches them.
    """

    activation: float
    gradient: float
    dead: float


def signal_norms(model: nn.Module, data: Data, loss: Loss, *, mask: Mask | None = None) -> dict[str, SignalNorm]:
    """Layer name → sizes of activation and gradient, in the order in which the layers run first.

    loss: (outputs, targets) → the *mean* loss of the batch. mask: removed weights count as zero. A layer that runs
    several times counts each as examples of its own. Evaluation mode, float64; `dead` compares examples, so it is 0
    where `data` has but one.

    Raises as `jacobian_singular_values` and the loss do. The model is as it was afterwards.
    Cost: a forward and a backward pass over `data`.
    Source: Glorot and Bengio (2010), section 4; Schoenholz et al. (2017).

    >>> net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    >>> for weight in net.parameters():
    ...     _ = weight.data.fill_(1.0)
    >>> mean = lambda outputs, targets: outputs.mean()
    >>> norms = signal_norms(net, [(torch.tensor([[1.0, 2.0], [0.0, 1.0]]), torch.zeros(2))], mean)
    >>> norms["0"].activation, round(norms["0"].gradient, 4), norms["2"].activation
    (2.0, 1.4142, 4.0)
    """
    weights, buffers = in_double(model, mask)
    layers = layers_of(model)
    tallies = {name: _Tally(1 if isinstance(module, _CONVOLUTIONS) else -1) for name, module in layers.items()}
    with torch.inference_mode(False), torch.enable_grad(), untouched(model, training=False):
        for inputs, targets in read_batches(data, "signal-norms", device_of(dict(model.named_parameters()))):
            leaf = inputs.double() if inputs.is_floating_point() else inputs
            seen: list[tuple[str, Tensor]] = []
            handles = [module.register_forward_hook(_watch(name, seen)) for name, module in layers.items()]
            try:
                outputs = call_with(model, {n: w.requires_grad_() for n, w in weights.items()}, leaf.clone(), buffers)
            finally:
                for handle in handles:
                    handle.remove()
            goal = targets.double() if targets.is_floating_point() else targets
            value = loss_value(loss, outputs, goal) * len(inputs)
            gradients = torch.autograd.grad(value, [h for _, h in seen], allow_unused=True, materialize_grads=True)
            for (name, h), gradient in zip(seen, gradients, strict=True):
                tallies[name].add(h.detach(), gradient)
    return {name: tally.norm() for name, tally in tallies.items() if tally.examples}


def _watch(name: str, seen: list[tuple[str, Tensor]]) -> Callable[..., Any]:
    def hook(module: nn.Module, arguments: Any, output: Any) -> Any:
        first, rest = (output[0], output[1:]) if isinstance(output, tuple) else (output, None)
        seen.append((name, first))
        # the model goes on with a copy: an activation in place would change what is remembered
        return first.clone() if rest is None else (first.clone(), *rest)

    return hook


class _Tally:
    """Sums over examples, and the least and largest value of each unit."""

    def __init__(self, unit_dim: int) -> None:
        self._unit_dim = unit_dim
        self.examples = 0
        self._activation = self._gradient = 0.0
        self._low = self._high = torch.zeros(())

    def add(self, activation: Tensor, gradient: Tensor) -> None:
        self._activation += float(activation.flatten(1).square().mean(1).sqrt().sum())
        self._gradient += float(gradient.flatten(1).norm(dim=1).sum())
        by_unit = activation.movedim(self._unit_dim, 0).flatten(1)
        low, high = by_unit.amin(1), by_unit.amax(1)
        self._low = torch.minimum(self._low, low) if self.examples else low
        self._high = torch.maximum(self._high, high) if self.examples else high
        self.examples += len(activation)

    def norm(self) -> SignalNorm:
        still = float((self._low == self._high).double().mean()) if self.examples > 1 else 0.0
        return SignalNorm(self._activation / self.examples, self._gradient / self.examples, still)
