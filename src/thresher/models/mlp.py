"""The K-layer perceptrons of width 100 on which signal propagation is studied."""

import itertools
import math
import re
from typing import Any

from torch import nn

from thresher.core.errors import ArgumentError
from thresher.models.activation import activation_called
from thresher.models.classifier import ImageClassifier
from thresher.models.feed_forward import FeedForward

WIDTH = 100


def mlp(input_shape: tuple[int, ...], num_classes: int, *, num_layers: int, activation: str) -> ImageClassifier:
    """`num_layers` fully connected layers fc1…fcK in all, hidden width 100, `activation` between them.

    The input is flattened, so any `input_shape` will do. Raises ArgumentError if `num_layers` is below 1 and
    UnknownNameError for an activation not in `models.activation.ACTIVATIONS`.
    Source: Lee, Ajanthan, Gould & Torr 2020; thesis §4.3.1 (K = 7, N = 100, linear and tanh), Table 4.4
    (K = 3, 5, 7) and Appendix 4.C (ReLU, leaky ReLU). Reading: K counts the output layer, which has no
    activation, as in the authors' code.

    >>> net = mlp((1, 28, 28), 10, num_layers=7, activation="tanh")
    >>> sum(p.numel() for p in net.parameters()), [name for name, _ in net.named_parameters()][-2:]
    (130010, ['fc7.weight', 'fc7.bias'])
    """
    if num_layers < 1:
        raise ArgumentError(f"a K-layer perceptron mlp-K has at least one layer: got K = {num_layers}")
    new_activation = activation_called(activation, f"mlp-{num_layers}")
    widths = [math.prod(input_shape), *[WIDTH] * (num_layers - 1), num_classes]
    layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    for k, (fan_in, fan_out) in enumerate(itertools.pairwise(widths), start=1):
        layers[f"fc{k}"] = nn.Linear(fan_in, fan_out)
        if k < num_layers:
            layers[f"activation{k}"] = new_activation()
    return FeedForward(layers, input_shape, num_classes)


def parse_mlp(name: str) -> dict[str, Any] | None:
    """The arguments of `mlp` that a name 'mlp-K' or 'mlp-K-ACTIVATION' writes, or None for a name of another form.

    'mlp-K' alone is tanh, the network of thesis Table 4.1. Whether there is such a network `mlp` says.

    >>> parse_mlp("mlp-7"), parse_mlp("mlp-3-leaky-relu"), parse_mlp("lenet")
    ({'num_layers': 7, 'activation': 'tanh'}, {'num_layers': 3, 'activation': 'leaky-relu'}, None)
    """
    found = re.fullmatch(r"mlp-([0-9]+)(?:-(.+))?", name)
    return {"num_layers": int(found[1]), "activation": found[2] or "tanh"} if found else None
