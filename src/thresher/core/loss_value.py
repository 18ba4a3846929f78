"""The loss of one batch, checked: one number, from labels the model knows."""

from torch import Tensor

from thresher.core.batch import Loss
from thresher.core.errors import ArgumentError, DataError


def loss_value(loss: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    """loss(outputs, targets), made a tensor of no dimensions.

    Raises DataError if the loss fails and a label is outside the model's classes, and ArgumentError if it does not
    return one number. Other failures of the loss pass as they are. Costs nothing while all is well.
    """
    try:
        value = loss(outputs, targets)
    except (IndexError, RuntimeError) as error:
        if outputs.dim() > 1 and not targets.is_floating_point() and targets.numel():
            low, high, classes = int(targets.min()), int(targets.max()), outputs.shape[1]
            if low < 0 or high >= classes:
                raise DataError(
                    f"labels lie in [0, {classes}), the model's outputs: this batch has labels from {low} to {high}"
                ) from error
        raise
    if not isinstance(value, Tensor):
        raise ArgumentError(f"loss returned {type(value).__name__}; expected a tensor of one number")
    if value.numel() != 1:
        raise ArgumentError(f"loss returned shape {tuple(value.shape)}; expected one number, e.g. reduction='mean'")
    return value.reshape(())
