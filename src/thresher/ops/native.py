"""The compiled kernels, if there are any here."""

import os
import warnings
from functools import cache
from importlib import import_module
from types import ModuleType

import torch
from torch import Tensor

from thresher.core.errors import ArgumentError

INSTRUCTION_SETS = ("avx512", "avx2", "portable", "reference")
_VARIABLE = "THRESHER_INSTRUCTION_SET"


@cache
def compiled() -> ModuleType | None:
    """The compiled kernels set to the best instruction set this machine has, or None for the reference path.

    The environment variable THRESHER_INSTRUCTION_SET chooses one of `INSTRUCTION_SETS` instead; it is read once.
    Raises ArgumentError if the variable names another set, or one this machine or this build does not have.
    """
    wanted = os.environ.get(_VARIABLE, "")
    if wanted and wanted not in INSTRUCTION_SETS:
        raise ArgumentError(f"{_VARIABLE} is one of {', '.join(INSTRUCTION_SETS)}: got {wanted!r}")
    if wanted == "reference":
        return None
    try:
        native = import_module("thresher._kernels")
    except ImportError as error:
        if wanted:
            raise ArgumentError(f"{_VARIABLE}={wanted}, but the kernels are not built: {error}") from error
        return None
    if wanted and not native.choose(wanted):
        raise ArgumentError(f"{_VARIABLE}={wanted}, but this machine has {', '.join(native.available())}")
    return native


@cache
def kernels() -> ModuleType | None:
    """`compiled()` for an operation that is slow without: where the kernels were not built, says so, once."""
    native = compiled()
    if native is None and os.environ.get(_VARIABLE) != "reference":
        warnings.warn(
            "the compiled kernels of thresher are not built here, so sparse layers run on a slow reference path: "
            "install a C++ compiler and reinstall thresher",
            RuntimeWarning,
            stacklevel=2,
        )
    return native


def instruction_set() -> str:
    """Which kernels run: 'avx512', 'avx2', 'portable', or 'reference' where none were built."""
    native = kernels()
    return "reference" if native is None else native.chosen()


def is_plain(x: Tensor) -> bool:
    """Whether `x` is a real tensor in this machine's memory, and nothing is being traced or compiled.

    Anything else (a fake tensor, a tracer, a dispatch mode) has to go through the registered operators.
    """
    return (
        type(x) in _PLAIN
        and not torch.compiler.is_compiling()
        and not torch._C._len_torch_dispatch_stack()
        and torch._C._get_tracing_state() is None
    )


_PLAIN = (Tensor, torch.nn.Parameter)
