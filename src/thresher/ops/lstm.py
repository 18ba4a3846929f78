"""A long short-term memory with sparse weights, over a whole sequence."""

import torch
from torch import Tensor

from thresher.ops.linear import linear
from thresher.ops.recurrence import Inputs, checked, has_kernels, sequence
from thresher.ops.topology import Topology


def lstm(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    input_values: Tensor,
    input_topology: Topology,
    recurrent_values: Tensor,
    recurrent_topology: Topology,
    bias: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The states [T, N, H] of all T steps over `x` [T, N, I], the last state and the last memory [N, H].

    i, f, o = σ(S·x + R·h + b) and g = tanh(…), each with its own rows; c ← f⊙c + i⊙g; h ← o⊙tanh(c).
    h0, c0: [N, H], the state and the memory before the first step. S: 4H × I, R: 4H × H, sparse, given as for
    `linear`; bias: [4H] or none; rows in torch's order: i, f, g, o. Strides are free. The states lie batch innermost
    in memory, step by step. Removed connections take no part: an infinity they would meet does not become NaN.
    Differentiable once. Under ``torch.autocast`` inputs and states are cast to the values' dtype. Results do not
    depend on the number of threads, of which up to N / 64 are used.
    Cost: kept · N · T multiply-adds and 5·H·N·T exponentials; backward twice the products and H·N·T exponentials;
    memory for backward: 5·H·N·T numbers beside the states.
    Raises ArgumentError for shapes that do not fit, mixed dtypes, and off the CPU.
    Source: Hochreiter & Schmidhuber (1997), with the forget gate of Gers et al. (2000), as in ``torch.nn.LSTM``.

    >>> full = Topology.of(torch.ones(4, 1, dtype=torch.bool))
    >>> x, state, open_gates = torch.ones(2, 1, 1), torch.zeros(1, 1), torch.tensor([99.0, 99.0, 99.0, 99.0])
    >>> lstm(x, state, state, open_gates, full, torch.zeros(4), full, None)[2].tolist()  # the memory counts the steps
    [[2.0]]
    """
    topologies = input_topology, recurrent_topology
    x, (h, c) = checked("lstm", x, (h0, c0), (input_values, recurrent_values), topologies, (bias,), gates=4)
    if has_kernels():
        return sequence(
            "lstm", Inputs(x, h, c, input_values, recurrent_values, bias, (*input_topology, *recurrent_topology))
        )
    states = []
    for sums in linear(x, input_values, bias, input_topology).unbind():
        i, f, g, o = (sums + linear(h, recurrent_values, None, recurrent_topology)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        states.append(h.t())
    return torch.stack(states).transpose(1, 2), h, c
