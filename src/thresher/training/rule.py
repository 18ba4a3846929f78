"""What holds while training: a rule starts once, then speaks after every update."""

from typing import Protocol

from torch import nn
from torch.optim import Optimizer


class Rule(Protocol):
    """Anything that keeps a promise about the weights, such as a mask that stays.

    `start` is called once, before the first update or after a checkpoint has been loaded, and leaves a model
    that already obeys as it is; `after_step` is called after every optimizer update. A rule that changes as it
    goes has a state, which `train(carry=...)` puts into the checkpoint.
    """

    def start(self, model: nn.Module, optimizer: Optimizer) -> None: ...

    def after_step(self) -> None: ...


class NoRule:
    """The rule that promises nothing: dense training."""

    def start(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Do nothing."""

    def after_step(self) -> None:
        """Do nothing."""
