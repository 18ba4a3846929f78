"""Replace connections: drop some weights of a sparse layer and grow as many elsewhere."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thresher.core.errors import ArgumentError
from thresher.layers.sparse_layer import SparseLayer
from thresher.ops import Topology


@torch.no_grad()
def replace_connections(
    layer: SparseLayer,
    drop: Tensor,
    grow: Tensor,
    *,
    name: str = "weight",
    optimizer: torch.optim.Optimizer | None = None,
) -> None:
    """Drop some connections of the sparse weight `name` of `layer` and grow as many others, in place.

    drop: int64 [k], places in the Parameter. grow: int64 [k], flat positions in the dense weight, in any order; what
    is dropped in the same call may grow again.
    What grows starts at zero, and so do its gradient and its state in `optimizer`; the others keep theirs. The
    Parameter stays the same object, and so do its gradient and the optimizer's tensors.
    Raises ArgumentError, before anything is changed, for different counts, for a place or position that is out of
    range or there twice, and for growing what is there. Between a forward pass and its backward pass it makes the
    latter fail, as every write into what autograd saved does.
    Cost: O(kept), a merge, and what `Topology.at` costs.

    >>> from torch import nn
    >>> from thresher.layers import SparseLinear
    >>> layer = SparseLinear.from_dense(nn.Linear(3, 1), torch.tensor([[True, True, False]]))
    >>> replace_connections(layer, drop=torch.tensor([0]), grow=torch.tensor([2]))
    >>> layer.keep_of("weight").tolist(), layer.weight[1].item()
    ([[False, True, True]], 0.0)
    """
    if drop.shape != grow.shape:
        raise ArgumentError(
            f"as many connections grow as are dropped: got drop {list(drop.shape)} and grow {list(grow.shape)}"
        )
    old, parameter = layer.topology_of(name), layer.get_parameter(name)
    _check("drop", "places", drop, old.kept)
    _check("grow", "positions", grow, old.num_rows * old.num_columns)
    survives = torch.ones(old.kept, dtype=torch.bool).index_fill_(0, drop, False)
    merged = torch.cat([old.positions[survives], grow.sort().values])
    # of two ascending runs numpy's stable sort makes one merge; torch's sort would start from nothing
    order = torch.from_numpy(merged.numpy().argsort(kind="stable"))
    positions = merged[order]
    there = int((positions[1:] == positions[:-1]).sum())
    if there:
        raise ArgumentError(f"grow has {there} connections that are there and not dropped: grow others")
    state: Mapping[str, Any] = {} if optimizer is None else optimizer.state.get(parameter, {})
    for tensor in (parameter, parameter.grad, *state.values()):
        if isinstance(tensor, Tensor) and tensor.shape == parameter.shape:
            tensor.copy_(torch.cat([tensor[survives], tensor.new_zeros(grow.numel())])[order])
    layer.set_topology(name, Topology.at(positions, old.num_rows, old.num_columns))


def _check(argument: str, what: str, indices: Tensor, end: int) -> None:
    if indices.dtype != torch.int64 or indices.dim() != 1:
        raise ArgumentError(f"{argument} is int64 [k]: got {indices.dtype} {list(indices.shape)}")
    outside = indices[(indices < 0) | (indices >= end)]
    if outside.numel():
        raise ArgumentError(f"{argument} has {what} in [0, {end}): got {int(outside[0])}")
    if torch.unique(indices).numel() != indices.numel():
        raise ArgumentError(f"{argument} has {what} twice: pass each once")
