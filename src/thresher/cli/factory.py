"""`module:function` on the command line: the user's own models and data."""

import importlib
import sys
from pathlib import Path
from typing import Any

from torch import nn

from thresher.core.errors import ArgumentError, ThresherError


class FactoryError(ThresherError):
    """A `module:function` that cannot be imported, raises, or returns something else than it should."""


def call_factory(text: str) -> Any:
    """What the function named by 'package.module:function' returns; modules in the current folder are found.

    Raises ArgumentError for another form and FactoryError, with what went wrong in one line, otherwise.
    """
    module_name, _, function_name = text.partition(":")
    if not module_name or not function_name:
        raise ArgumentError(f"a factory is written 'package.module:function': got {text!r}")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # whatever the user's module raises on import
        raise FactoryError(f"cannot import {module_name}: {one_line(error)}") from error
    if not hasattr(module, function_name):
        raise FactoryError(f"module {module_name} has no {function_name!r}")
    try:
        return getattr(module, function_name)()
    except (Exception, SystemExit) as error:  # whatever the user's function raises
        raise FactoryError(f"{text} raised {one_line(error)}") from error


def model_from_factory(text: str) -> nn.Module:
    """The model that a factory returns; FactoryError if it returns something else."""
    model = call_factory(text)
    if not isinstance(model, nn.Module):
        raise FactoryError(f"{text} returned {type(model).__name__}; expected a torch.nn.Module")
    return model


def one_line(error: BaseException) -> str:
    """Kind and message of an error, without line breaks."""
    return " ".join(f"{type(error).__name__}: {error}".split())
