"""Gradient norms of single examples through whole models against torch.func.vmap of the masked dense model."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad, vmap

from thresher import ops
from thresher.core.errors import ArgumentError
from thresher.ops import Topology, example_gradient_norms

LOSS = partial(F.cross_entropy, reduction="none")


class Sparse(nn.Module):
    """The sparse form of a linear layer or a convolution, as far as the operations alone go."""

    def __init__(self, dense, keep):
        super().__init__()
        self.weight = nn.Parameter(dense.weight.detach()[keep], requires_grad=dense.weight.requires_grad)
        self.bias = dense.bias
        self.topology = Topology.of(keep.flatten(1))
        convolution = isinstance(dense, nn.Conv2d)
        self.of = (dense.kernel_size, dense.stride, dense.padding, dense.dilation, dense.groups) if convolution else ()
        self.seen = 0

    def forward(self, x):
        return (ops.conv2d if self.of else ops.linear)(x, self.weight, self.bias, self.topology, *self.of)

    def example_square_norms(self, x, gradient):
        self.seen += 1
        norms = gradient.new_zeros(len(gradient))
        if self.weight.requires_grad:
            norms += (ops.conv2d_example_norms if self.of else ops.linear_example_norms)(
                x, gradient, self.topology, *self.of
            )
        if self.bias is not None and self.bias.requires_grad:
            sides = gradient.flatten(2).sum(2) if self.of else gradient.reshape(len(gradient), -1, gradient.shape[-1])
            norms += (sides if self.of else sides.sum(1)).square().sum(1)
        return norms


def by_vmap(model, masks, loss, inputs, targets):
    """‖∇ℓ_n‖ over the trainable parameters of the dense `model`, its weights and gradients masked."""
    own = {name: p.detach() * masks.get(name, 1) for name, p in model.named_parameters()}
    trainable = {name: own.pop(name) for name, p in model.named_parameters() if p.requires_grad}

    def of_one(parameters, x, y):
        return loss(functional_call(model, ({**own, **parameters},), (x[None],)), y[None])[0]

    gradients = vmap(grad(of_one), in_dims=(None, 0, 0), randomness="same")(trainable, inputs, targets)
    total = sum((g * masks.get(name, 1)).flatten(1).square().sum(1) for name, g in gradients.items())
    return total.sqrt()


def network(*layers, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(*[layer() for layer in layers]).double()


def sparse_form(model, density=0.4, last_dense=True):
    """(the model with its linear layers and convolutions sparse but the last, the masks by name)."""
    swapped, masks = nn.Sequential(), {}
    for name, layer in model.named_children():
        kinds = (nn.Linear, nn.Conv2d)
        if isinstance(layer, kinds) and not (last_dense and name == str(len(model) - 1)):
            keep = torch.rand_like(layer.weight) < density
            masks[f"{name}.weight"], layer = keep, Sparse(layer, keep)
        swapped.append(layer)
    return swapped, masks


@pytest.mark.parametrize("n", [1, 7, 33])
def test_a_convolutional_network_with_a_dense_end(engine, n):
    model = network(
        partial(nn.Conv2d, 2, 6, 3, padding=1), nn.ReLU, partial(nn.MaxPool2d, 2),
        partial(nn.Conv2d, 6, 4, 3, stride=2, groups=2, bias=False), nn.Tanh, nn.Flatten,
        partial(nn.Linear, 16, 9), partial(nn.ReLU, inplace=True), partial(nn.Linear, 9, 5),
    )  # fmt: skip
    sparse, masks = sparse_form(model)
    x, y = torch.randn(n, 2, 11, 11, dtype=torch.float64), torch.randint(5, (n,))
    found = example_gradient_norms(sparse, LOSS, x, y)
    torch.testing.assert_close(found, by_vmap(model, masks, LOSS, x, y), rtol=1e-11, atol=1e-13)
    assert [layer.seen for layer in sparse if isinstance(layer, Sparse)] == [1, 1, 1]
    assert all(p.grad is None for p in sparse.parameters())
    assert not found.requires_grad
    assert not any(layer._forward_hooks for layer in sparse)


def test_inputs_of_steps_are_summed_before_they_are_squared(engine):
    model = network(
        partial(nn.Linear, 3, 6), nn.Tanh, partial(nn.LayerNorm, 6), partial(nn.Linear, 6, 4), nn.Flatten,
        partial(nn.Linear, 20, 3),
    )  # fmt: skip
    sparse, masks = sparse_form(model)
    x, y = torch.randn(9, 5, 3, dtype=torch.float64), torch.randint(3, (9,))
    found = example_gradient_norms(sparse, LOSS, x, y)
    torch.testing.assert_close(found, by_vmap(model, masks, LOSS, x, y), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("dense", [True, False])
def test_views_that_are_changed_in_place(dense):
    model = network(
        partial(nn.Linear, 3, 6), partial(nn.ReLU, inplace=True), nn.Flatten, partial(nn.Linear, 24, 3),
    )  # fmt: skip
    sparse, masks = (model, {}) if dense else sparse_form(model)
    x, y = torch.randn(5, 4, 3, dtype=torch.float64), torch.randint(3, (5,))
    found = example_gradient_norms(sparse, LOSS, x, y)
    torch.testing.assert_close(found, by_vmap(model, masks, LOSS, x, y), rtol=1e-11, atol=1e-13)


def test_dense_layers_of_every_kind_that_is_treated():
    model = network(
        partial(nn.Embedding, 11, 6), partial(nn.Conv1d, 8, 4, 3, padding="same"), partial(nn.GroupNorm, 2, 4),
        nn.PReLU, partial(nn.BatchNorm1d, 4), partial(nn.Linear, 6, 6), partial(nn.LayerNorm, 6),
        partial(nn.Unflatten, 2, (2, 3)), partial(nn.Conv2d, 4, 3, 2), nn.Flatten, partial(nn.Linear, 6, 4),
    ).eval()  # fmt: skip
    x, y = torch.randint(11, (7, 8)), torch.randint(4, (7,))
    found = example_gradient_norms(model, LOSS, x, y)
    torch.testing.assert_close(found, by_vmap(model, {}, LOSS, x, y), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("frozen", ["0.weight", "0.bias", "2.weight", "2.bias", "0.weight 0.bias", "2.weight 2.bias"])
@pytest.mark.parametrize("last_dense", [True, False])
def test_frozen_parameters_have_no_share(frozen, last_dense):
    model = network(partial(nn.Linear, 6, 5), nn.ReLU, partial(nn.Linear, 5, 3))
    for name in frozen.split():
        model.get_parameter(name).requires_grad_(False)
    sparse, masks = sparse_form(model, last_dense=last_dense)
    x, y = torch.randn(4, 6, dtype=torch.float64), torch.randint(3, (4,))
    found = example_gradient_norms(sparse, LOSS, x, y)
    torch.testing.assert_close(found, by_vmap(model, masks, LOSS, x, y), rtol=1e-11, atol=1e-13)


def test_gradients_that_are_there_stay_and_an_unused_layer_has_no_share():
    class Skips(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x):
            return self.used(x)

    model = Skips()
    for p in model.parameters():
        p.grad = torch.full_like(p, 7.0)
    x, y = torch.randn(4, 3), torch.randint(2, (4,))
    found = example_gradient_norms(model, LOSS, x, y)
    torch.testing.assert_close(found, by_vmap(model.used, {}, LOSS, x, y))
    assert all((p.grad == 7.0).all() for p in model.parameters())


def test_nothing_trainable_and_no_examples():
    model = nn.Linear(3, 2).requires_grad_(False)
    x, y = torch.randn(4, 3), torch.randint(2, (4,))
    assert torch.equal(example_gradient_norms(model, LOSS, x, y), torch.zeros(4))
    assert example_gradient_norms(model.requires_grad_(True), LOSS, x[:0], y[:0]).shape == (0,)


def test_it_works_where_gradients_are_switched_off():
    model = nn.Linear(3, 2)
    x, y = torch.randn(4, 3), torch.randint(2, (4,))
    with torch.no_grad():
        found = example_gradient_norms(model, LOSS, x, y)
    torch.testing.assert_close(found, by_vmap(model, {}, LOSS, x, y))


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(4), nn.BatchNorm1d(4, affine=False)])
def test_a_batch_norm_that_mixes_examples_is_refused(norm):
    model = nn.Sequential(nn.Linear(3, 4), norm)
    with pytest.raises(ArgumentError, match="1 normalizes with the statistics of the batch"):
        example_gradient_norms(model, LOSS, torch.randn(5, 3), torch.randint(4, (5,)))
    example_gradient_norms(model.eval(), LOSS, torch.randn(5, 3), torch.randint(4, (5,)))
    without = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False)).eval()
    with pytest.raises(ArgumentError, match="statistics of the batch"):
        example_gradient_norms(without, LOSS, torch.randn(5, 3), torch.randint(4, (5,)))


class Uses(nn.Module):
    """A linear layer whose parameters are used in a way that hides a part of their gradient."""

    def __init__(self, way):
        super().__init__()
        self.way = way
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        if way == "tied":
            self.second.weight = self.first.weight
        if way == "own":
            self.own = nn.Parameter(torch.ones(4))

    def forward(self, x):
        if self.way == "twice":
            return self.first(self.first(x))
        if self.way == "tied":
            return self.second(self.first(x))
        if self.way == "functional":
            return F.linear(self.first(x), self.second.weight)
        if self.way == "functional too":
            return self.first(x) @ self.first.weight
        if self.way == "penalty":
            return self.first(x) + self.first.bias.square().sum()
        if self.way == "own":
            return self.first(x) * self.own
        if self.way == "flat":
            return self.first(x.reshape(-1, 2, 2).repeat(1, 1, 2).flatten(0, 1)).view(len(x), 2, 4).sum(1)
        if self.way == "overwritten":
            y = self.first(x)
            x.zero_()
            return y
        return self.first(input=x)


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("twice", "first is called more than once"),
        ("tied", "weight is also used outside of its layer"),
        ("functional", "second.weight is also used outside of its layer"),
        ("functional too", "first.weight is also used outside of its layer"),
        ("penalty", "first.bias is also used outside of its layer"),
        ("own", "the model is a Uses, whose parameters' share is not known"),
        ("flat", "first is called with something else than \\[5, ...\\]"),
        ("overwritten", "the input of first was changed in place"),
        ("keyword", "first is called with something else"),
    ],
)
def test_what_would_be_a_wrong_norm_is_refused(way, said):
    model = Uses(way)
    with pytest.raises(ArgumentError, match=said):
        example_gradient_norms(model, LOSS, torch.randn(5, 4), torch.randint(4, (5,)))
    assert not any(layer._forward_hooks for layer in model.modules())


def test_a_layer_of_another_kind_is_refused():
    model = nn.Sequential(nn.Flatten(0, 0), nn.LSTM(3, 2))
    with pytest.raises(ArgumentError, match="1 is a LSTM, whose parameters' share is not known"):
        example_gradient_norms(model, LOSS, torch.randn(5, 4, 3), torch.randint(2, (5,)))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_loss_of_the_whole_batch_is_refused(reduction):
    with pytest.raises(ArgumentError, match='one number per example, \\[5\\]: got \\[\\]; pass it reduction="none"'):
        example_gradient_norms(
            nn.Linear(4, 3), partial(F.cross_entropy, reduction=reduction), torch.randn(5, 4), torch.randint(3, (5,))
        )
