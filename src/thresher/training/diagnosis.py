"""Where a NaN or an infinity came from, said in one sentence."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from thresher.core.errors import NonFiniteError
from thresher.core.untouched import call_with, untouched

_ADVICE = "lower the learning rate, clip the gradient (clip_norm), or check the scale of the inputs"


def nonfinite_loss(model: nn.Module, inputs: Tensor, what: str, training: bool) -> NonFiniteError:
    """The error for a loss that is not finite: `what` happened, where it was first seen, what to do.

    Looks for the first input, parameter or buffer that is not finite; if there is none, runs `inputs` again,
    in the given mode, and names the first module, in execution order, whose output is not finite. The model and
    the random state are untouched; dropout therefore draws anew. Cost: one forward pass.

    >>> error = nonfinite_loss(nn.Linear(1, 1), torch.tensor([[torch.nan]]), "the loss is nan", True)
    >>> print(*str(error).split("; ")[:2], sep="; ")
    the loss is nan; the inputs of this batch already hold 1 value not finite
    """
    place = _bad_tensor(model, inputs) or _bad_output(model, inputs, training)
    return NonFiniteError(f"{what}; {place}; {_ADVICE}")


def bad_parameter(model: nn.Module) -> NonFiniteError | None:
    """The error for the first parameter that is not finite, or None; its gradient is looked at too.

    A finite loss can have a gradient that is not, and an update can overflow. Cost: one pass over the weights.
    """
    for name, parameter in model.named_parameters():
        if _bad(parameter):
            from_gradient = parameter.grad is not None and _bad(parameter.grad)
            cause = "its gradient is not" if from_gradient else "the update overflowed"
            return NonFiniteError(f"{name} is not finite after an update of a finite loss: {cause}; {_ADVICE}")
    return None


def _bad(tensor: Tensor) -> int:
    return int((~torch.isfinite(tensor.detach())).sum())


def _bad_tensor(model: nn.Module, inputs: Tensor) -> str | None:
    if count := _bad(inputs):
        return f"the inputs of this batch already hold {count} {'value' if count == 1 else 'values'} not finite"
    named: Iterable[tuple[str, Tensor]] = [*model.named_parameters(), *model.named_buffers()]
    for name, tensor in named:
        if _bad(tensor):
            return f"{name} is already not finite: the losses before were, but a gradient or an update was not"
    return None


def _bad_output(model: nn.Module, inputs: Tensor, training: bool) -> str:
    seen: list[str] = []

    def watch(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, arguments: object, output: object) -> None:
            for side, value in (("input", arguments), ("output", output)):
                if any(_bad(tensor) for tensor in _tensors(value)):
                    seen.append(f"the {side} of {name} ({type(module).__name__})")
                    return

        return hook

    handles = [module.register_forward_hook(watch(name or "the model")) for name, module in model.named_modules()]
    try:
        with untouched(model, training), torch.no_grad():
            call_with(model, {}, inputs)
    finally:
        for handle in handles:
            handle.remove()
    if seen:
        return f"first seen in {seen[0]} when the batch was run again"
    return "every layer's output is finite when the batch is run again: the loss itself overflows (log 0, say)"


def _tensors(value: object) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, tuple | list):
        return [tensor for part in value for tensor in _tensors(part)]
    return []
