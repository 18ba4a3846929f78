"""Which masked weights lie on a path from the input to the output, by one run on 0/1 levels."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from thresher.analysis.flow_table import CONSTANTS, RULES
from thresher.analysis.signals import Signals, opened
from thresher.analysis.tracing import (
    TorchFunction,
    changes_in_place,
    map_tensors,
    plain_name,
    tensors_in,
)
from thresher.analysis.unfused import UNFUSED
from thresher.core.recurrent import RECURRENT, RECURRENT_CELLS, recurrent_cell, recurrent_layer

_SPELLED_OUT: dict[str, TorchFunction] = {
    **UNFUSED,
    **{name: partial(recurrent_layer, name) for name in RECURRENT},
    **{name: partial(recurrent_cell, name) for name in RECURRENT_CELLS},
}


class SignalFlow(TorchFunctionMode):
    """Inside ``with flow:``, functions that meet a signal compute where the signal goes instead of values.

    The model's code holds tensors of the true shapes and 0/1 values. Functions of constants only run as they
    are. A function without a rule is taken to connect everything it reads with everything it returns, which may
    hide that a path is lost but never calls one lost that is there; the notes of `signals` then name it.
    """

    def __init__(self, signals: Signals) -> None:
        self._signals = signals

    def __torch_function__(
        self,
        func: TorchFunction,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if not self._signals.among((args, kwargs)):
            return func(*args, **kwargs)
        name = plain_name(func)
        with torch.enable_grad():  # a model that freezes a part of itself still passes signal there
            if name in _SPELLED_OUT:
                with self:
                    return _SPELLED_OUT[name](*args, **kwargs)
            if name in CONSTANTS:
                return func(*args, **kwargs)
            if name not in RULES:
                return self._unknown(func, name, args, kwargs)
            levels, gate = RULES[name](self._signals, func, name, args, kwargs)
            if changes_in_place(func):
                return self._signals.emit(levels, gate, handle=args[0])
            return map_tensors(lambda t: self._signals.emit(t, gate) if t.is_floating_point() else t, levels)

    def _unknown(self, func: TorchFunction, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        def apart(tensor: Tensor) -> Tensor:
            return tensor.detach().clone()

        with torch.no_grad():
            results = func(*map_tensors(apart, args), **map_tensors(apart, kwargs))
        if not any(_carries(t) for t in tensors_in(results)):
            return results  # a shape, a number, a comparison, an index
        self._signals.notes[f"{name} has no rule: taken to connect everything with everything"] = None
        total = torch.stack([signal.level.sum() for signal in self._signals.among((args, kwargs))]).sum()
        for constant in tensors_in((args, kwargs)):
            if self._signals.find(constant) is None and constant.requires_grad:
                total = total * opened(self._signals.factor(constant)).mean()
        if changes_in_place(func):
            return self._signals.emit(total.expand(args[0].shape), handle=args[0])
        return map_tensors(lambda t: self._signals.emit(total.expand(t.shape)) if _carries(t) else t, results)


def _carries(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()
