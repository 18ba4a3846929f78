"""Recurrent layers unrolled into sums that carry signal as the layer does."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# the names torch gives its fused recurrent functions
RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")
RECURRENT_CELLS = tuple(f"{name}_cell" for name in RECURRENT)
_GATES = dict(zip(RECURRENT_CELLS, (4, 3, 1, 1), strict=True))


def recurrent_layer(name: str, *args: Any) -> tuple[Tensor, ...]:
    """What ``torch.lstm``, ``gru``, ``rnn_tanh`` or ``rnn_relu`` returns, unrolled in sums instead of gates.

    The reading: a hidden unit gets signal if any of its gates does (a gate without signal is a constant, not a
    closed door), an LSTM or GRU unit keeps the signal it once had, and a gate's weight matters where its hidden
    unit does. Cost: one matrix product per layer, direction and time step.
    """
    if isinstance(args[3], bool):
        x, state, weights, has_biases, num_layers, _, _, bidirectional, batch_first = args
        x = x.transpose(0, 1) if batch_first else x
    else:  # packed: all steps of the only example, [time, features]
        x, _, state, weights, has_biases, num_layers, _, _, bidirectional = args
        x, batch_first = x.unsqueeze(1), False
    states = _started(x, state if name == "lstm" else (state,))
    directions = 2 if bidirectional else 1
    size = len(weights) // (num_layers * directions)
    last: list[tuple[Tensor, ...]] = []
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            i = layer * directions + direction
            own = list(weights[i * size : (i + 1) * size])
            steps, final = _unrolled(name, x.flip(0) if direction else x, tuple(s[i] for s in states), own, has_biases)
            outputs.append(steps.flip(0) if direction else steps)
            last.append(final)
        x = torch.cat(outputs, -1)
    if not isinstance(args[3], bool):
        x = x.squeeze(1)
    return x.transpose(0, 1) if batch_first else x, *(torch.stack(list(kind)) for kind in zip(*last, strict=True))


def recurrent_cell(name: str, *args: Any) -> Tensor | tuple[Tensor, ...]:
    """What ``torch.lstm_cell`` (hidden, cell) or another cell (hidden) returns, in the same reading."""
    x, state, w_input, w_hidden, *biases = args
    states = _started(x, state if name == "lstm_cell" else (state,))
    b_input, b_hidden = biases if len(biases) == 2 else (None, None)
    final = _stepped(name, F.linear(x, w_input, b_input), states, w_hidden, b_hidden, None)
    return final if name == "lstm_cell" else final[0]


def _started(x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, ...]:
    # a constant state times a weight would be a constant computed from a weight; a state that is a (dead)
    # signal makes it an ordinary product
    dead = x.sum() * 0
    return tuple(state + dead for state in states)


def _unrolled(
    name: str, x: Tensor, states: tuple[Tensor, ...], weights: list[Tensor], has_biases: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    w_input, w_hidden = weights[:2]
    b_input, b_hidden = weights[2:4] if has_biases else (None, None)
    projection = weights[-1] if len(weights) in (3, 5) else None
    steps = []
    for driven in F.linear(x, w_input, b_input).unbind(0):
        states = _stepped(f"{name}_cell", driven, states, w_hidden, b_hidden, projection)
        steps.append(states[0])
    return torch.stack(steps), states


def _stepped(
    name: str,
    driven: Tensor,
    states: tuple[Tensor, ...],
    w_hidden: Tensor,
    b_hidden: Tensor | None,
    projection: Tensor | None,
) -> tuple[Tensor, ...]:
    gates = driven + F.linear(states[0], w_hidden, b_hidden)
    own = gates.reshape(*gates.shape[:-1], _GATES[name], -1).sum(-2)
    if name.startswith("rnn"):
        return (own,)
    memory = own + states[-1]
    hidden = memory if projection is None else F.linear(memory, projection)
    return (hidden,) if name == "gru_cell" else (hidden, memory)
