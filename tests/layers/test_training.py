"""A sparse network trains as the masked dense one does, step for step, and optimizers move there and back."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import thresher as th
from thresher.core import Mask
from thresher.core.errors import ArgumentError
from thresher.layers import densify, sparsify

STEPS = 200


def sgd(parameters):
    return torch.optim.SGD(parameters, 0.05, momentum=0.9, weight_decay=0.01)


def adam(parameters):
    return torch.optim.Adam(parameters, 0.003, weight_decay=0.01)


OPTIMIZERS = {"sgd": sgd, "adam": adam}


def mlp():
    return nn.Sequential(nn.Linear(12, 17), nn.BatchNorm1d(17), nn.ReLU(), nn.Linear(17, 9), nn.Tanh(), nn.Linear(9, 4))


def conv():
    features = [nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*features, nn.Conv2d(6, 5, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(5, 4))


def mixed():
    """The first half has no sparse form."""
    return nn.Sequential(nn.Conv3d(1, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(24, 4))


NETS = {"mlp": (mlp, (12,)), "conv": (conv, (2, 9, 9)), "mixed": (mixed, (1, 3, 3, 3))}


def task(name):
    """A network, a mask with 30 % kept, and batches of odd size.

    No unit is cut off: batch norm would give it 0 up to rounding, and ReLU a gradient by the sign of the rounding.
    """
    torch.manual_seed(1)
    build, shape = NETS[name]
    net = build().double()
    masks = {n: torch.rand(p.shape) < 0.3 for n, p in th.prunable(net).items()}
    for keep in masks.values():
        keep.flatten(1)[:, 0] = True
    batches = [(torch.randn(7, *shape, dtype=torch.float64), torch.randint(0, 4, (7,))) for _ in range(10)]
    return net, Mask(masks), batches


def train(model, optimizer, batches, steps, rule=None):
    for number in range(steps):
        inputs, targets = batches[number % len(batches)]
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), targets).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        if rule is not None:
            rule.after_step()


def masked(net, mask, optimizer):
    """A dense copy of `net` under a FixedMask, and its optimizer."""
    net = copy.deepcopy(net)
    optimizer, rule = OPTIMIZERS[optimizer](net.parameters()), th.FixedMask(mask)
    rule.start(net, optimizer)
    return net, optimizer, rule


def assert_same(found, expected):
    """Weights and buffers agree."""
    right = expected.state_dict()
    for key, value in found.state_dict().items():
        torch.testing.assert_close(value, right[key], rtol=0, atol=1e-9, msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("made", ["before", "after"])
def test_it_trains_as_the_masked_dense_network_does(name, optimizer, made):
    net, mask, batches = task(name)
    dense, dense_optimizer, rule = masked(net, mask, optimizer)
    train(dense, dense_optimizer, batches, STEPS, rule)
    if made == "before":
        own = OPTIMIZERS[optimizer](net.parameters())
        fast = sparsify(net, mask, "always", optimizer=own)
    else:
        fast = sparsify(net, mask, "always")
        own = OPTIMIZERS[optimizer](fast.parameters())
    train(fast, own, batches, STEPS)
    assert_same(fast, dense)
    assert not torch.allclose(fast.state_dict()["0.weight"], net.state_dict()["0.weight"] * mask["0.weight"])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", NETS)
def test_an_optimizer_goes_there_and_back_in_the_middle_of_training(name, optimizer):
    net, mask, batches = task(name)
    dense, dense_optimizer, rule = masked(net, mask, optimizer)
    train(dense, dense_optimizer, batches, 30, rule)

    model, own, rule = masked(net, mask, optimizer)
    train(model, own, batches, 10, rule)
    fast = sparsify(model, mask, "always", optimizer=own)
    assert sum(s.numel() for state in own.state.values() for s in state.values()) < 2 * 2 * mask.kept + 400
    train(fast, own, batches, 10)
    model = densify(fast, optimizer=own)
    rule = th.FixedMask(mask)
    rule.start(model, own)
    train(model, own, batches, 10, rule)
    assert_same(model, dense)
    assert [p for group in own.param_groups for p in group["params"]] == list(model.parameters())


def test_the_state_of_removed_weights_is_dropped():
    """An unmasked optimizer has momentum where the mask removes."""
    net, mask, batches = task("mixed")
    own = sgd(net.parameters())
    train(net, own, batches, 5)
    buffers = {name: own.state[p]["momentum_buffer"].clone() for name, p in net.named_parameters()}
    fast = sparsify(net, mask, "always", optimizer=own)
    state = {name: own.state[p]["momentum_buffer"] for name, p in fast.named_parameters()}
    assert torch.equal(state["0.weight"], buffers["0.weight"] * mask["0.weight"])
    assert torch.equal(state["3.weight"], buffers["3.weight"][mask["3.weight"]])
    assert torch.equal(state["3.bias"], buffers["3.bias"])
    train(fast, own, batches, 3)
    assert not fast[0].weight[~mask["0.weight"]].any()
    densify(fast, optimizer=own)
    assert all(buffer["momentum_buffer"].dim() > 0 for buffer in own.state.values())


def test_groups_settings_and_other_parameters_stay_in_the_optimizer():
    net, mask, _ = task("mlp")
    elsewhere = nn.Parameter(torch.zeros(1))
    own = torch.optim.SGD(
        [
            {"params": [p for n, p in net.named_parameters() if n.endswith("bias")], "weight_decay": 0.0, "lr": 0.5},
            {"params": [elsewhere, *(p for n, p in net.named_parameters() if not n.endswith("bias"))]},
        ],
        lr=0.1,
        weight_decay=0.3,
    )
    fast = sparsify(net, mask, "always", optimizer=own)
    by_name = dict(fast.named_parameters())
    assert [group["lr"] for group in own.param_groups] == [0.5, 0.1]
    assert own.param_groups[0]["params"] == [p for n, p in by_name.items() if n.endswith("bias")]
    assert own.param_groups[1]["params"] == [elsewhere, *(p for n, p in by_name.items() if not n.endswith("bias"))]


def test_an_optimizer_of_another_model_is_refused():
    net, mask, _ = task("mlp")
    with pytest.raises(ArgumentError, match="updates no parameter of this Sequential"):
        sparsify(net, mask, "always", optimizer=sgd(copy.deepcopy(net).parameters()))
    with pytest.raises(ArgumentError, match="updates no parameter of this Sequential"):
        densify(sparsify(net, mask, "always"), optimizer=sgd(net.parameters()))


def test_state_that_cannot_be_carried_is_refused_before_anything_moves():
    net, mask, batches = task("mlp")
    own = torch.optim.Adafactor(net.parameters())
    train(net, own, batches, 1)
    before = [p for group in own.param_groups for p in group["params"]]
    with pytest.raises(ArgumentError, match=r"row_var of 0\.weight is \[17, 1\], not of the weight's shape \[17, 12\]"):
        sparsify(net, mask, "always", optimizer=own)
    assert before == list(net.parameters())
    assert [p for group in own.param_groups for p in group["params"]] == before
    assert all(p in own.state for p in before)
