"""Replaced connections against the same done to the dense weight, its gradient and its state by hand."""

import copy

import pytest
import torch
from torch import nn

from thresher.core.errors import ArgumentError
from thresher.layers import SparseConv2d, SparseLinear, replace_connections
from thresher.ops import Topology

OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
    "Adam": lambda p: torch.optim.Adam(p, 0.1, amsgrad=True),
    "RMSprop": lambda p: torch.optim.RMSprop(p, 0.1, centered=True, momentum=0.5),
}


def trained(rows, columns, kept, optimizer, seed):
    generator = torch.Generator().manual_seed(seed)
    keep = torch.rand(rows, columns, generator=generator) < kept
    layer = SparseLinear.from_dense(nn.Linear(columns, rows), keep)
    optimizer = OPTIMIZERS[optimizer](layer.parameters())
    layer(torch.randn(3, columns)).square().sum().backward()
    optimizer.step()
    return layer, keep, optimizer, generator


def of_size(layer, optimizer):
    """Every tensor that goes with the values, by name."""
    slots = {name: slot for name, slot in optimizer.state[layer.weight].items() if slot.shape == layer.weight.shape}
    return {"weight": layer.weight, "gradient": layer.weight.grad, **slots}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    ("rows", "columns", "kept"), [(5, 7, 0.4), (1, 9, 0.5), (9, 1, 0.5), (20, 30, 0.1), (3, 4, 1.0)]
)
def test_survivors_keep_everything_and_the_grown_start_at_zero(rows, columns, kept, optimizer, seed):
    layer, keep, optimizer, generator = trained(rows, columns, kept, optimizer, seed)
    tensors = of_size(layer, optimizer)
    identities = {name: id(tensor) for name, tensor in tensors.items()}
    dense = {name: layer.dense("weight", tensor.detach()).clone() for name, tensor in tensors.items()}
    free = (~keep).flatten().nonzero().squeeze(1)
    count = int(torch.randint(0, min(layer.weight.numel(), len(free)) + 1, (), generator=generator))
    drop = torch.randperm(layer.weight.numel(), generator=generator)[:count]
    grow = free[torch.randperm(len(free), generator=generator)][:count]
    gone = keep.flatten().nonzero().squeeze(1)[drop]

    replace_connections(layer, drop, grow, optimizer=optimizer)

    expected = keep.flatten().index_fill(0, gone, False).index_fill(0, grow, True).view(rows, columns)
    assert torch.equal(layer.keep_of("weight"), expected)
    for found, right in zip(layer.topology_of("weight"), Topology.of(expected), strict=True):
        assert torch.equal(found, right)
    tensors = of_size(layer, optimizer)
    assert {name: id(tensor) for name, tensor in tensors.items()} == identities
    for name, tensor in tensors.items():
        right = dense[name].flatten().index_fill(0, gone, 0.0).view(rows, columns)
        assert torch.equal(layer.dense("weight", tensor.detach()), right), name


def test_the_layer_trains_on_at_its_new_places():
    torch.manual_seed(0)
    layer, _, optimizer, _ = trained(4, 6, 0.5, "Adam", 1)
    grow = (~layer.keep_of("weight")).flatten().nonzero().squeeze(1)[:2]
    replace_connections(layer, torch.tensor([3, 0]), grow.flip(0), optimizer=optimizer)
    dense, keep = layer.to_dense(), layer.keep_of("weight")
    x = torch.randn(5, 6)
    optimizer.zero_grad()
    for each in (layer, dense):
        each(x).square().sum().backward()
    torch.testing.assert_close(layer.weight.grad, dense.weight.grad[keep])
    optimizer.step()
    assert (layer.dense("weight").flatten()[grow] != 0).all()


def test_what_is_dropped_may_grow_again_at_zero():
    layer, keep, optimizer, _ = trained(4, 6, 0.5, "SGD", 2)
    position = layer.topology_of("weight").positions[[1]]
    replace_connections(layer, torch.tensor([1]), position, optimizer=optimizer)
    assert torch.equal(layer.keep_of("weight"), keep)
    assert layer.weight[1] == 0
    assert layer.weight.count_nonzero() == layer.weight.numel() - 1
    assert optimizer.state[layer.weight]["momentum_buffer"][1] == 0


def test_positions_are_those_of_the_flattened_kernel():
    keep = torch.zeros(2, 3, 2, 2, dtype=torch.bool)
    keep[1, 2, 0, 1] = True
    layer = SparseConv2d.from_dense(nn.Conv2d(3, 2, 2), keep)
    replace_connections(layer, torch.tensor([0]), torch.tensor([7]))
    assert layer.keep_of("weight").nonzero().tolist() == [[0, 1, 1, 1]]


def test_it_works_without_gradient_and_without_optimizer():
    layer = SparseLinear.from_dense(nn.Linear(3, 1), torch.tensor([[True, True, False]]))
    second = layer.weight[1].item()
    replace_connections(layer, torch.tensor([0]), torch.tensor([2]))
    assert layer.weight.tolist() == [second, 0.0]
    assert layer.weight.grad is None


@pytest.mark.parametrize(
    ("drop", "grow", "message"),
    [
        ([0, 1], [2], r"as many connections grow as are dropped: got drop \[2\] and grow \[1\]"),
        ([0, 0], [1, 2], "drop has places twice"),
        ([0, 1], [2, 2], "grow has positions twice"),
        ([4], [1], r"drop has places in \[0, 4\): got 4"),
        ([-1], [1], r"drop has places in \[0, 4\): got -1"),
        ([0], [6], r"grow has positions in \[0, 6\): got 6"),
        ([0], [-1], r"grow has positions in \[0, 6\): got -1"),
        ([0, 1], [2, 4], "grow has 1 connections that are there and not dropped"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_changes(drop, grow, message):
    keep = torch.tensor([[True, True, False], [True, True, False]])  # positions 0, 1, 3, 4
    layer = SparseLinear.from_dense(nn.Linear(3, 2), keep)
    before = copy.deepcopy(layer.state_dict())
    with pytest.raises(ArgumentError, match=message):
        replace_connections(layer, torch.tensor(drop), torch.tensor(grow))
    assert torch.equal(layer.keep_of("weight"), keep)
    assert torch.equal(layer.state_dict()["weight"], before["weight"])


def test_indices_of_another_kind_are_refused():
    layer = SparseLinear.from_dense(nn.Linear(3, 1), torch.tensor([[True, True, False]]))
    with pytest.raises(ArgumentError, match=r"drop is int64 \[k\]: got torch.int32"):
        replace_connections(layer, torch.tensor([0], dtype=torch.int32), torch.tensor([2]))
    with pytest.raises(ArgumentError, match=r"grow is int64 \[k\]: got torch.bool \[1\]"):
        replace_connections(layer, torch.tensor([0]), torch.tensor([True]))


def test_replacing_between_forward_and_backward_is_caught():
    layer = SparseLinear.from_dense(nn.Linear(3, 1), torch.tensor([[True, True, False]]))
    loss = layer(torch.randn(2, 3, requires_grad=True)).sum()
    replace_connections(layer, torch.tensor([0]), torch.tensor([2]))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
