"""What a rule is: something that holds while training."""

from typing import Protocol

from torch import nn
from torch.optim import Optimizer


class Rule(Protocol):
    """Anything that keeps a promise about the weights, such as a mask that stays.

    A rule that changes as it goes has a state, which `train(carry=...)` puts into the checkpoint.
    """

    def start(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Make the rule hold from now on: before the first update, or after a checkpoint has been loaded.

        A model that already obeys is left as it is.
        """
        ...

    def after_step(self) -> None:
        """Make it hold again after `optimizer.step()`."""
        ...
