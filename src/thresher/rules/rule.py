"""What a rule is: something that holds while training."""

from typing import Protocol

import torch
from torch import nn


class Rule(Protocol):
    """Told when training starts and after every optimizer step."""

    def start(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Make the rule hold from now on, for this model and this optimizer."""
        ...

    def after_step(self) -> None:
        """Make it hold again after `optimizer.step()`."""
        ...
