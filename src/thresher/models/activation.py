"""The activations that a model's name can end in."""

from collections.abc import Callable
from functools import partial

from torch import nn

from thresher.core.errors import unknown_name

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "linear": nn.Identity,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky-relu": partial(nn.LeakyReLU, 0.2),  # TensorFlow's default, which the code of thesis chapter 4 leaves
    "selu": nn.SELU,
}


def activation_called(name: str, network: str) -> Callable[[], nn.Module]:
    """What makes the activation `name` of `network`; raises UnknownNameError if it is no row of `ACTIVATIONS`.

    >>> activation_called("leaky-relu", "mlp-7")()
    LeakyReLU(negative_slope=0.2)
    """
    if name not in ACTIVATIONS:
        raise unknown_name(f"activation of {network}", name, ACTIVATIONS)
    return ACTIVATIONS[name]
