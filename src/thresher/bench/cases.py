"""What is measured: single layers, and networks whose whole training step is."""

import fnmatch
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

from torch import nn

from thresher.core.errors import unknown_name
from thresher.core.seeds import isolated_random_state
from thresher.models import build
from thresher.models.feed_forward import FeedForward

Kind: TypeAlias = Literal["layer", "network"]


@dataclass(frozen=True)
class Case:
    """One row of the table: `build()` makes the model, with the same weights each time, for [N, \\*input_shape]."""

    kind: Kind
    build: Callable[[], nn.Module]
    input_shape: tuple[int, ...]
    quick: bool = False


def _layer(make: Callable[[], nn.Module]) -> nn.Module:
    # inside a container, since what replaces layers replaces children
    with isolated_random_state(0):
        return nn.Sequential(OrderedDict(layer=make()))


def _linear(features: int) -> Case:
    return Case("layer", partial(_layer, partial(nn.Linear, features, features)), (features,), quick=True)


def _conv(channels: int, side: int) -> Case:
    # no bias: in the networks these layers come from, a normalisation follows
    make = partial(nn.Conv2d, channels, channels, 3, padding=1, bias=False)
    return Case("layer", partial(_layer, make), (channels, side, side))


def _network(name: str, quick: bool = False) -> Case:
    return Case("network", partial(build, name), build(name).input_shape, quick)


def _mlp() -> nn.Module:
    with isolated_random_state(0):
        layers = {
            "flatten": nn.Flatten(),
            "fc1": nn.Linear(784, 1024),
            "relu1": nn.ReLU(),
            "fc2": nn.Linear(1024, 1024),
            "relu2": nn.ReLU(),
            "fc3": nn.Linear(1024, 10),
        }
        return FeedForward(layers, (1, 28, 28), 10)


CASES: dict[str, Case] = {
    "linear-1024": _linear(1024),
    "conv-64@32": _conv(64, 32),
    "conv-128@16": _conv(128, 16),
    "conv-256@8": _conv(256, 8),
    "conv-512@4": _conv(512, 4),
    "mlp-784-1024-1024-10": Case("network", _mlp, (1, 28, 28), quick=True),
    "lenet-300-100": _network("lenet-300-100", quick=True),
    "lenet-5-caffe": _network("lenet-5-caffe"),
    "resnet-20": _network("resnet-20"),
    "vgg-like": _network("vgg-like"),
    "lstm-s": _network("lstm-s"),
}


def selected(patterns: Sequence[str]) -> list[str]:
    """The names of `CASES`, in their order, that are, or match, one of `patterns` (``conv-*``).

    Raises UnknownNameError, with the near miss, for a pattern that means none.

    >>> selected(["conv-?*@[48]", "lstm-s"])
    ['conv-256@8', 'conv-512@4', 'lstm-s']
    """
    matches = {pattern: fnmatch.filter(CASES, pattern) for pattern in patterns}
    for pattern, names in matches.items():
        if not names:
            raise unknown_name("benchmark case", pattern, CASES)
    chosen = {name for names in matches.values() for name in names}
    return [name for name in CASES if name in chosen]
