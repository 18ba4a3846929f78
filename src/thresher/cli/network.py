"""The model that a command's options mean."""

from torch import nn

from thresher.cli.factory import model_from_factory
from thresher.core.errors import ArgumentError
from thresher.models import build


def network(model: str, classes: int | None, shape: tuple[int, ...] | None, seed: int = 0) -> nn.Module:
    """A known model by its name, or what the user's `package.module:function` returns.

    Raises ArgumentError if `classes` is given for a factory, which decides that itself, and as `build` and
    `model_from_factory` do.
    """
    if ":" not in model:
        return build(model, num_classes=classes, input_shape=shape, seed=seed)
    if classes is not None:
        raise ArgumentError("--classes is for known models: your factory decides that itself")
    return model_from_factory(model)
