"""The table of optimizers: a name, and how it is made from parameters and a plan."""

from collections.abc import Callable

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from thresher.core.errors import ArgumentError
from thresher.training.plan import OptimizerName, TrainingPlan

Parameters = list[nn.Parameter]

# Momentum is torch's v ← μv + g, θ ← θ − ηv with η outside v (Sutskever et al. 2013 have it inside).
# Adam's β = (0.9, 0.999) and ε = 1e-8 are those of Kingma and Ba (2015); "adamw" is Loshchilov and Hutter (2019).
OPTIMIZERS: dict[OptimizerName, Callable[[Parameters, TrainingPlan], Optimizer]] = {
    "sgd": lambda parameters, plan: SGD(parameters, plan.learning_rate, weight_decay=plan.weight_decay),
    "momentum": lambda parameters, plan: SGD(
        parameters, plan.learning_rate, plan.momentum, weight_decay=plan.weight_decay
    ),
    "nesterov": lambda parameters, plan: SGD(
        parameters, plan.learning_rate, plan.momentum, weight_decay=plan.weight_decay, nesterov=True
    ),
    "adam": lambda parameters, plan: Adam(parameters, plan.learning_rate, weight_decay=plan.weight_decay),
    "adamw": lambda parameters, plan: AdamW(parameters, plan.learning_rate, weight_decay=plan.weight_decay),
}


def make_optimizer(model: nn.Module, plan: TrainingPlan) -> Optimizer:
    """The plan's optimizer over every trainable parameter of `model`, biases and norms included.

    Weight decay leaves pruned weights alone: they are exactly zero, and a mask rule puts back what an update
    moves. Raises ArgumentError if nothing is trainable.

    >>> type(make_optimizer(nn.Linear(2, 1), TrainingPlan(steps=1, learning_rate=0.1))).__name__
    'SGD'
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise ArgumentError(
            f"{type(model).__name__} has no trainable parameter: set requires_grad on what is to be trained"
        )
    return OPTIMIZERS[plan.optimizer](parameters, plan)
