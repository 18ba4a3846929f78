"""What is removed from a dense parameter stays at zero in a plain loop, whatever copies or saves it."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from thresher.core.errors import ArgumentError
from thresher.layers import MaskedParameter

KEEP = torch.tensor([[True, False, True, False], [False, True, False, False], [True, True, True, True]])


def masked(requires_grad=True):
    layer = nn.Linear(4, 3)
    layer.weight = MaskedParameter(layer.weight, KEEP, requires_grad)
    return layer


def step(layer, optimizer):
    optimizer.zero_grad()
    layer(torch.randn(6, 4, dtype=layer.weight.dtype)).square().sum().backward()
    optimizer.step()


def saved_and_loaded(layer):
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
    "Adam": lambda p: torch.optim.Adam(p, 0.1, weight_decay=0.1, amsgrad=True),
    "AdamW": lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.1),
    "RMSprop": lambda p: torch.optim.RMSprop(p, 0.1, momentum=0.9, centered=True),
    "Adagrad": lambda p: torch.optim.Adagrad(p, 0.1),
    "Adadelta": lambda p: torch.optim.Adadelta(p),
    "NAdam": lambda p: torch.optim.NAdam(p),
    "Rprop": lambda p: torch.optim.Rprop(p),
    "Adafactor": lambda p: torch.optim.Adafactor(p),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(
    "copied",
    [lambda x: x, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x)), saved_and_loaded, lambda x: x.double()],
    ids=["itself", "deepcopy", "pickle", "torch.save", "double"],
)
def test_removed_entries_stay_zero_under_any_entrywise_optimizer(name, copied):
    layer = copied(masked())
    before = layer.weight.detach().clone()
    optimizer = OPTIMIZERS[name](layer.parameters())
    for _ in range(5):
        step(layer, optimizer)
    assert torch.equal(layer.weight != 0, KEEP)
    assert torch.equal(layer.weight.grad != 0, KEEP)
    assert not torch.equal(layer.weight, before)


def test_kept_entries_get_the_dense_gradient_and_infinities_do_not_spread():
    weight = MaskedParameter(torch.ones(4), torch.tensor([True, False, False, True]))
    (weight * torch.tensor([2.0, float("inf"), float("nan"), 3.0])).sum().backward()
    assert weight.grad.tolist() == [2.0, 0.0, 0.0, 3.0]
    (weight * 1.0).sum().backward()  # gradients accumulate
    assert weight.grad.tolist() == [3.0, 0.0, 0.0, 4.0]


def test_a_gradient_asked_for_by_name_is_masked_and_can_be_differentiated_again():
    weight = MaskedParameter(torch.tensor([2.0, 3.0]), torch.tensor([True, False]))
    (gradient,) = torch.autograd.grad((weight**3).sum() + weight.sum(), weight, create_graph=True)
    assert gradient.tolist() == [13.0, 0.0]
    (second,) = torch.autograd.grad(gradient.sum(), weight)
    assert second.tolist() == [12.0, 0.0]
    (gradient,) = torch.autograd.grad(weight[0] ** 2 * (1 + weight[1]), weight, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), weight)
    assert second.tolist() == [2.0, 0.0]  # not 6: the removed entry's own gradient, w², is masked away before the sum


def test_the_incoming_gradient_is_not_written_into():
    weight = MaskedParameter(torch.ones(2), torch.tensor([True, False]))
    incoming = torch.tensor([5.0, 6.0])
    weight.clone().backward(incoming)
    assert incoming.tolist() == [5.0, 6.0]


def test_it_is_frozen_if_it_was_and_masked_once_it_is_not():
    layer = masked(requires_grad=False)
    assert [p.requires_grad for p in layer.parameters()] == [False, True]
    assert copy.deepcopy(layer).weight.requires_grad is False
    layer.weight.requires_grad_(True)
    layer(torch.ones(1, 4)).sum().backward()
    assert torch.equal(layer.weight.grad != 0, KEEP)


def test_copies_keep_ties_and_share_nothing():
    layers = nn.ModuleList([masked(), nn.Linear(4, 3)])
    layers[1].weight = layers[0].weight
    twin = copy.deepcopy(layers)
    assert twin[0].weight is twin[1].weight
    assert isinstance(twin[0].weight, MaskedParameter)
    with torch.no_grad():
        twin[0].weight.zero_()
    assert layers[0].weight.count_nonzero() == KEEP.sum()


def test_what_is_computed_from_it_and_saved_is_plain():
    layer = masked()
    assert type(layer.state_dict()["weight"]) is torch.Tensor
    assert type(layer.weight + 1) is torch.Tensor
    assert isinstance(layer.weight, nn.Parameter)
    buffer = io.BytesIO()
    torch.save(layer.state_dict(), buffer)
    buffer.seek(0)
    nn.Linear(4, 3).load_state_dict(torch.load(buffer, weights_only=True))


def test_loading_takes_a_masked_checkpoint_and_counts_what_another_has_elsewhere():
    layer, state = masked(), nn.Linear(4, 3).state_dict()
    with pytest.raises(RuntimeError, match="5 of the values are not zero where the mask removes them"):
        layer.load_state_dict(state)
    state["weight"] *= KEEP
    layer.load_state_dict(state)
    assert torch.equal(layer.weight, state["weight"])
    assert isinstance(layer.weight, MaskedParameter)


def test_writing_into_it_refuses_what_is_not_zero_at_removed_entries():
    weight = MaskedParameter(torch.ones(2), torch.tensor([True, False]))
    with pytest.raises(ArgumentError, match="1 of the values"), torch.no_grad():
        weight.copy_(torch.tensor([1.0, float("nan")]))
    assert weight.tolist() == [1.0, 0.0]
