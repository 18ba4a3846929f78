"""What an initializer is: a model and a generator in; weights drawn in place."""

from typing import Protocol

import torch
from torch import nn


class Initializer(Protocol):
    """Draws the weights that training, or pruning, starts from."""

    def initialize_(self, model: nn.Module, generator: torch.Generator) -> None:
        """Draw every prunable weight of `model` anew from `generator`, in place, and zero the layers' biases."""
        ...
