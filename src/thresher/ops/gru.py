"""A gated recurrent unit with sparse weights, over a whole sequence."""

import torch
from torch import Tensor

from thresher.core.errors import ArgumentError
from thresher.ops.linear import linear
from thresher.ops.recurrence import Inputs, checked, has_kernels, sequence
from thresher.ops.topology import Topology


def gru(
    x: Tensor,
    h0: Tensor,
    input_values: Tensor,
    input_topology: Topology,
    recurrent_values: Tensor,
    recurrent_topology: Topology,
    bias_input: Tensor | None,
    bias_recurrent: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The states [T, N, H] of all T steps over `x` [T, N, I], and the last state [N, H].

    r, z = σ(S·x + b + R·h + d), n = tanh(S·x + b + r⊙(R·h + d)), each with its own rows; h ← (1-z)⊙n + z⊙h.
    h0: [N, H], the state before the first step. S: 3H × I, R: 3H × H, sparse, given as for `linear`; b and d,
    `bias_input` and `bias_recurrent`: [3H], both or none; rows in torch's order: r, z, n. Layout, threads, autograd and
    what is raised: as in `lstm`.
    Cost: kept · N · T multiply-adds and 3·H·N·T exponentials; backward twice the products; memory for backward:
    4·H·N·T numbers beside the states.
    Source: Cho et al. (2014) with the reset gate after the recurrent product, as in ``torch.nn.GRU``.

    >>> full = Topology.of(torch.ones(3, 1, dtype=torch.bool))
    >>> x, state, gates = torch.ones(2, 1, 1), torch.tensor([[0.5]]), torch.tensor([0.0, 99.0, 0.0])
    >>> gru(x, state, gates, full, torch.zeros(3), full, None, None)[1].tolist()  # z = 1: nothing new gets in
    [[0.5]]
    """
    topologies, biases = (input_topology, recurrent_topology), (bias_input, bias_recurrent)
    x, (h,) = checked("gru", x, (h0,), (input_values, recurrent_values), topologies, biases, gates=3)
    if (bias_input is None) != (bias_recurrent is None):
        raise ArgumentError(
            "gru: bias_input and bias_recurrent come together: got one of them; pass zeros for the other"
        )
    if has_kernels():
        bias = None
        if bias_input is not None and bias_recurrent is not None:
            (r, z, n), (s, u, m) = bias_input.chunk(3), bias_recurrent.chunk(3)
            bias = torch.cat([r + s, z + u, n, m])
        return sequence(
            "gru", Inputs(x, h, None, input_values, recurrent_values, bias, (*input_topology, *recurrent_topology))
        )[:2]
    states = []
    for sums in linear(x, input_values, bias_input, input_topology).unbind():
        (r, z, n), (s, u, m) = (
            sums.chunk(3, 1),
            linear(h, recurrent_values, bias_recurrent, recurrent_topology).chunk(3, 1),
        )
        z = (z + u).sigmoid()
        h = (1 - z) * (n + (r + s).sigmoid() * m).tanh() + z * h
        states.append(h.t())
    return torch.stack(states).transpose(1, 2), h
