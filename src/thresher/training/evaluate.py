"""Mean loss and error of a model over a whole data set."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from thresher.core import Data, Loss, read_batches
from thresher.core.loss_value import loss_value
from thresher.core.prunable import device_of
from thresher.core.untouched import first_tensor, untouched
from thresher.training.diagnosis import nonfinite_loss
from thresher.training.wrong import count_wrong


@dataclass(frozen=True)
class Evaluation:
    """Mean loss per example, percentage of examples that were wrong, and how many there were."""

    loss: float
    error_pct: float
    examples: int


def evaluate(model: nn.Module, data: Data, loss: Loss, purpose: str) -> Evaluation:
    """The model's mean loss and error over `data`, in evaluation mode, without gradients.

    `loss` means over its batch (``reduction="mean"``); batches count by their number of examples. Modes and
    random state of the model come back as they were; every batch is a Touch for `purpose`. Raises DataError if
    there is no data, ArgumentError if the loss is not one number, NonFiniteError if the mean is NaN or infinite.
    Cost: one forward pass over the data, one wait for the device at its end.

    >>> data = [(torch.eye(2), torch.tensor([0, 1])), (torch.eye(2)[:1], torch.tensor([1]))]
    >>> result = evaluate(nn.Linear(2, 2), data, nn.functional.cross_entropy, "test")
    >>> result.examples, 0.0 <= result.error_pct <= 100.0
    (3, True)
    """
    losses: list[Tensor] = []
    wrong: list[Tensor] = []
    sizes: list[int] = []
    device = device_of(dict(model.named_parameters()))
    with untouched(model, training=False), torch.no_grad():
        for inputs, targets in read_batches(data, purpose, device):
            outputs = first_tensor(model(inputs))
            value = loss_value(loss, outputs, targets)
            losses.append(value)
            wrong.append(count_wrong(outputs, targets))
            sizes.append(len(targets))
        values = torch.stack(losses).tolist()
        errors = sum(torch.stack(wrong).tolist())
    examples = sum(sizes)
    mean = math.fsum(value * size for value, size in zip(values, sizes, strict=True)) / examples
    if not math.isfinite(mean):
        raise nonfinite_loss(model, inputs, f"the {purpose} loss is {mean}", training=False)
    return Evaluation(mean, 100.0 * errors / examples, examples)
