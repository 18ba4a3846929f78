"""Training without a rule."""

from torch import nn
from torch.optim import Optimizer


class NoRule:
    """The rule that promises nothing: dense training."""

    def start(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Do nothing."""

    def after_step(self) -> None:
        """Do nothing."""
