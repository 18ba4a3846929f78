"""What the LSTM and the GRU share: the compiled sequence, its autograd, and its registered operators."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from thresher.core.errors import ArgumentError
from thresher.ops.checks import accepted
from thresher.ops.native import is_plain, kernels
from thresher.ops.topology import Topology

# numbers kept for backward, per unit and example of a step
_KEPT = {"lstm": 5, "gru": 4}


class Inputs(NamedTuple):
    """What a sequence is computed from; the names are those of `lstm`. No c0 for a GRU."""

    x: Tensor
    h0: Tensor
    c0: Tensor | None
    input_values: Tensor
    recurrent_values: Tensor
    bias: Tensor | None  # [4H], of the four sums of each unit
    indices: Sequence[Tensor]  # both topologies, one after the other


def checked(
    operation: str,
    x: Tensor,
    states: tuple[Tensor, ...],
    values: tuple[Tensor, Tensor],
    topologies: tuple[Topology, Topology],
    biases: tuple[Tensor | None, ...],
    *,
    gates: int,
) -> tuple[Tensor, list[Tensor]]:
    """`x` [T, N, I] and the `states` [N, H], under ``torch.autocast`` in the dtype of the values.

    values, topologies: of the input weights, gates·H × I, and of the recurrent ones, gates·H × H. biases: [gates·H].
    Raises ArgumentError if shapes, dtypes or devices do not fit.
    """
    x = accepted(operation, x, values[0])
    states_found = [accepted(operation, state, values[0]) for state in states]
    hidden = topologies[1].num_columns
    for kind, topology, own in zip(("input", "recurrent"), topologies, values, strict=True):
        if topology.num_rows != gates * hidden or own.shape != (topology.kept,) or own.dtype != x.dtype:
            raise ArgumentError(
                f"{operation}: the {kind} weights are {x.dtype}, [{topology.kept}], and have {gates} · {hidden} rows, "
                f"got {own.dtype}, {list(own.shape)}, and {topology.num_rows} rows"
            )
    for bias in biases:
        if bias is not None and (bias.shape != (gates * hidden,) or bias.dtype != x.dtype):
            raise ArgumentError(
                f"{operation}: a bias is {x.dtype}, [{gates * hidden}], got {bias.dtype}, {list(bias.shape)}"
            )
    if x.dim() != 3 or x.shape[2] != topologies[0].num_columns or x.shape[0] == 0:
        raise ArgumentError(
            f"{operation}: the input is [steps, examples, {topologies[0].num_columns}] with one step or more, got "
            f"{list(x.shape)}"
        )
    for state in states_found:
        if state.shape != (x.shape[1], hidden):
            raise ArgumentError(f"{operation}: a state is [{x.shape[1]}, {hidden}], got {list(state.shape)}")
    return x, states_found


def has_kernels() -> bool:
    """Whether `sequence` can run; while a graph is captured it is assumed so."""
    return torch.compiler.is_compiling() or kernels() is not None


def sequence(cell: str, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
    """The compiled `cell` ('lstm', 'gru') over all steps: y [T, N, H], the last state and the last memory [N, H].

    `inputs` as `checked` leaves them. The memory is the LSTM's alone.
    """
    *tensors, indices = inputs
    differentiable = torch.is_grad_enabled() and any(a is not None and a.requires_grad for a in tensors)
    if all(is_plain(a) for a in tensors if a is not None):
        found: tuple[Tensor, Tensor, Tensor] = _Recurrence.apply(cell, differentiable, *tensors, *indices)  # type: ignore[no-untyped-call]
        return found
    y, h, memory, _ = _recurrence(cell, differentiable, *tensors, list(indices))
    return y, h, memory


class _Recurrence(torch.autograd.Function):
    """The registered operator without the dispatcher."""

    @staticmethod
    def forward(
        ctx: Any,
        cell: str,
        differentiable: bool,
        x: Tensor,
        h0: Tensor,
        c0: Tensor | None,
        input_values: Tensor,
        recurrent_values: Tensor,
        bias: Tensor | None,
        *indices: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        inputs = Inputs(x, h0, c0, input_values, recurrent_values, bias, indices)
        y, h, memory, kept = _forward(cell, differentiable, inputs)
        _save(ctx, cell, inputs, y, kept)
        return y, h, memory

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        inputs, y, kept = _saved(ctx)
        needed = ctx.needs_input_grad[2:8]
        found = _backward(ctx.cell, gradients, inputs, y, kept, needed[0])
        return None, None, *(g if need else None for g, need in zip(found, needed, strict=True)), *[None] * 10


def _save(ctx: Any, cell: str, inputs: Inputs, y: Tensor, kept: Tensor) -> None:
    ctx.set_materialize_grads(False)
    ctx.cell = cell
    ctx.save_for_backward(*inputs[:6], *inputs.indices, y, kept)


def _saved(ctx: Any) -> tuple[Inputs, Tensor, Tensor]:
    *saved, y, kept = ctx.saved_tensors
    return Inputs._make([*saved[:6], saved[6:]]), y, kept


def _forward(cell: str, differentiable: bool, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """y [T, N, H], the last state, the last memory, and what backward needs (empty unless `differentiable`)."""
    y, h, memory, kept = _results(cell, differentiable, inputs)
    inputs = _contiguous(inputs)  # a name, so that copies live until the kernel is done with their addresses
    _kernels().recurrence(*_described(cell, inputs, y, memory, kept))
    return y, h.copy_(y[-1]), memory, kept


def _backward(
    cell: str, gradients: Sequence[Tensor | None], inputs: Inputs, y: Tensor, kept: Tensor, for_x: bool
) -> list[Tensor]:
    """The gradients of `inputs` but the indices, that of x empty unless `for_x`, from those of y, h and memory."""
    found = _gradients(cell, inputs, for_x)
    by_x, by_h0, by_c0, *by_weights = found
    inputs = _contiguous(inputs)
    _kernels().recurrence_backward(
        *_described(cell, inputs, y, None, kept),
        *(number for tensor in (*gradients, by_x, by_h0, by_c0) for number in _strided(tensor)),
        *(tensor.data_ptr() for tensor in by_weights),
    )
    return found


def _kernels() -> ModuleType:
    native = kernels()
    if native is None:
        raise ArgumentError(
            "torch.compile and torch.export of a sparse LSTM or GRU need the compiled kernels of thresher: run it as "
            "it is, or install a C++ compiler and reinstall thresher"
        )
    return native


def _contiguous(inputs: Inputs) -> Inputs:
    return inputs._replace(
        input_values=inputs.input_values.contiguous(),
        recurrent_values=inputs.recurrent_values.contiguous(),
        bias=None if inputs.bias is None else inputs.bias.contiguous(),
    )


def _described(cell: str, inputs: Inputs, y: Tensor, memory: Tensor | None, kept: Tensor) -> list[int]:
    """The numbers that both compiled functions begin with."""
    x, h0, c0, input_values, recurrent_values, bias, indices = inputs
    addresses = [index.data_ptr() for index in indices]
    return [
        x.element_size(), torch.get_num_threads(), cell == "gru", *x.shape, h0.shape[1], _width(x.shape[1]),
        *addresses[:5], input_values.data_ptr(), *addresses[5:], recurrent_values.data_ptr(),
        0 if bias is None else bias.data_ptr(),
        *(number for tensor in (x, h0, c0, y, memory) for number in _strided(tensor)),
        kept.data_ptr() if kept.numel() else 0,
    ]  # fmt: skip


def _strided(x: Tensor | None) -> tuple[int, ...]:
    """Address and strides over steps, examples and features; no address where there is nothing."""
    if x is None or x.numel() == 0:
        return 0, 0, 0, 0
    return x.data_ptr(), *((0,) if x.dim() == 2 else ()), *x.stride()


def _width(num_examples: int) -> int:
    """Examples in a slice: the best number for the caches, fewer where the batch would make less than two slices."""
    return 64 if num_examples > 64 else 32 if num_examples > 32 else 16


def _results(cell: str, differentiable: bool, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x = inputs.x
    (steps, examples, _), hidden = x.shape, inputs.h0.shape[1]
    width = _width(examples)
    slices = (examples + width - 1) // width
    return (
        x.new_empty((steps, hidden, examples)).transpose(1, 2),
        x.new_empty((hidden, examples)).t(),
        x.new_empty((hidden, examples) if cell == "lstm" else (0, 0)).t(),
        x.new_empty((slices, steps, hidden, _KEPT[cell], width) if differentiable else 0),
    )


def _gradients(cell: str, inputs: Inputs, for_x: bool) -> list[Tensor]:
    x, (examples, hidden) = inputs.x, inputs.h0.shape
    return [
        torch.empty_like(x) if for_x else x.new_empty(0),
        x.new_empty((hidden, examples)).t(),
        x.new_empty((hidden, examples) if cell == "lstm" else (0, 0)).t(),
        x.new_empty(inputs.input_values.shape),
        x.new_empty(inputs.recurrent_values.shape),
        x.new_empty(4 * hidden),
    ]


@torch.library.custom_op("thresher::recurrence", mutates_args=())
def _recurrence(
    cell: str,
    differentiable: bool,
    x: Tensor,
    h0: Tensor,
    c0: Tensor | None,
    input_values: Tensor,
    recurrent_values: Tensor,
    bias: Tensor | None,
    indices: list[Tensor],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _forward(cell, differentiable, Inputs(x, h0, c0, input_values, recurrent_values, bias, indices))


@torch.library.custom_op("thresher::recurrence_backward", mutates_args=())
def _recurrence_backward(
    cell: str,
    by_y: Tensor | None,
    by_h: Tensor | None,
    by_memory: Tensor | None,
    x: Tensor,
    h0: Tensor,
    c0: Tensor | None,
    input_values: Tensor,
    recurrent_values: Tensor,
    bias: Tensor | None,
    indices: list[Tensor],
    y: Tensor,
    kept: Tensor,
    for_x: bool,
) -> list[Tensor]:
    inputs = Inputs(x, h0, c0, input_values, recurrent_values, bias, indices)
    return _backward(cell, (by_y, by_h, by_memory), inputs, y, kept, for_x)


@_recurrence.register_fake
def _(cell: str, differentiable: bool, *inputs: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _results(cell, differentiable, Inputs(*inputs))


@_recurrence_backward.register_fake
def _(cell: str, by_y: Any, by_h: Any, by_memory: Any, *rest: Any) -> list[Tensor]:
    *inputs, _, _, for_x = rest
    return _gradients(cell, Inputs(*inputs), for_x)


def _save_registered(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    cell, _, *rest = inputs
    _save(ctx, cell, Inputs(*rest), output[0], output[3])


def _backward_registered(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
    inputs, y, kept = _saved(ctx)
    needed = ctx.needs_input_grad[2:8]
    found = _recurrence_backward(ctx.cell, *gradients[:3], *inputs[:6], list(inputs.indices), y, kept, needed[0])
    return None, None, *(g if need else None for g, need in zip(found, needed, strict=True)), [None] * 10


_recurrence.register_autograd(_backward_registered, setup_context=_save_registered)
