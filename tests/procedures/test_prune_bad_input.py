"""What prune refuses, in which words, and that it does so before the work."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import thresher as th
from thresher.allocations import ERK, Global, PerTensor
from thresher.core.errors import (
    ArgumentError,
    DataError,
    MaskMismatchError,
    NonFiniteError,
    NothingToPruneError,
    UnknownNameError,
)
from thresher.core.mask import Mask
from thresher.core.prunable import prunable
from thresher.criteria import SNIP, Magnitude
from thresher.patterns import Channel, NofM
from thresher.procedures import prune
from thresher.schedules import Linear


class Returns:
    """A criterion that computes whatever it is told, and counts its calls."""

    def __init__(self, function):
        self.function, self.calls = function, 0

    def scores(self, model, weights, data=None, example=None):
        self.calls += 1
        return self.function(weights)


@pytest.mark.parametrize("sparsity", [1.0, -0.1, math.nan, math.inf, "0.9", True])
def test_a_sparsity_outside_the_range(net, sparsity):
    with pytest.raises(ArgumentError, match=r"in \[0, 1\): got"):
        prune(net, Magnitude(), sparsity=sparsity)
    with pytest.raises(ArgumentError, match=r"in \[0, 1\): got"):
        prune(net, Magnitude(), sparsity={"fc.weight": sparsity})


def test_a_percentage_is_recognised(net):
    with pytest.raises(ArgumentError, match="percentage"):
        prune(net, Magnitude(), sparsity=90)


def test_no_sparsity(net):
    with pytest.raises(ArgumentError, match="sparsity= is missing"):
        prune(net, Magnitude())


def test_a_sparsity_that_leaves_nothing(net):
    with pytest.raises(ArgumentError, match="rounds to none kept"):
        prune(net, Magnitude(), sparsity=0.9999)


WRONG = {
    "sparsity by an unknown name": ({"sparsity": {"cnv1.weight": 0.5}}, UnknownNameError, r"mean 'conv1\.weight'"),
    "unknown protected name": ({"sparsity": 0.5, "protect": ["fc.wieght"]}, UnknownNameError, r"mean 'fc\.weight'"),
    "unknown parameter": ({"sparsity": 0.5, "parameters": ["fc.wieght"]}, UnknownNameError, r"mean 'fc\.weight'"),
    "protect is one string": ({"sparsity": 0.5, "protect": "first"}, ArgumentError, r"pass \['first'\]"),
    "parameters is one string": ({"sparsity": 0.5, "parameters": "fc.weight"}, ArgumentError, r"pass \['fc\.weight'\]"),
    "no parameters": ({"sparsity": 0.5, "parameters": []}, NothingToPruneError, "nothing to prune"),
    "all protected": ({"sparsity": 0.5, "protect": ["*"]}, ArgumentError, "every prunable parameter"),
    "protected hold more": ({"sparsity": 0.9, "protect": ["conv2*"]}, ArgumentError, "protected tensors alone"),
    "protected and given": (
        {"sparsity": {"fc.weight": 0.5}, "protect": ["last"]}, ArgumentError, r"both protected .*: fc\.weight"),
    "by tensor and allocated": ({"sparsity": {"fc.weight": 0.5}, "allocation": ERK()}, ArgumentError, "allocation="),
    "two sparsities": ({"sparsity": 0.5, "allocation": PerTensor({"fc.weight": 0.5})}, ArgumentError, "sparsity= out"),
    "n:m and another sparsity": (
        {"sparsity": 0.6, "pattern": NofM(2, 4), "protect": ["first"]}, ArgumentError, r"removes 0\.5 .*got 0\.6"),
    "n:m and an allocation": (
        {"pattern": NofM(2, 4), "allocation": ERK(), "protect": ["first"]}, ArgumentError, "allocation="),
    "n:m that does not fit": ({"pattern": NofM(2, 4)}, ArgumentError, r"conv1\.weight of shape \(8, 2, 3, 3\)"),
    "channel axis": ({"sparsity": 0.5, "pattern": Channel(2)}, ArgumentError, r"fc\.weight .*has no axis 2"),
    "unknown choice": ({"sparsity": 0.5, "on_collapse": "repiar"}, ArgumentError, "'repair'.*got 'repiar'"),
    "start of another model": (
        {"sparsity": 0.5, "start": Mask({"fc.weight": torch.ones(10, 32).bool()})}, MaskMismatchError, "conv1"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "error", "message"), WRONG.values(), ids=WRONG)
def test_arguments_that_cannot_be(net, arguments, error, message):
    criterion = Returns(lambda weights: {n: w.abs() for n, w in weights.items()})
    with pytest.raises(error, match=message):
        prune(net, criterion, schedule=Linear(5), **arguments)
    assert criterion.calls <= 1  # not after five rounds


def test_a_starting_mask_that_has_too_little_left(net):
    start = prune(net, Magnitude(), sparsity=0.75)
    with pytest.raises(ArgumentError, match=r"keeps 520 weights, but start= has only 260 left"):
        prune(net, Magnitude(), sparsity=0.5, start=start, schedule=Linear(3))


SCORES = {
    "NaN": (lambda ws: {n: w * math.nan for n, w in ws.items()}, NonFiniteError, r"conv1\.weight: 144 of 144"),
    "infinite": (lambda ws: {n: w.abs() * math.inf for n, w in ws.items()}, NonFiniteError, "NaN or infinite"),
    "one missing": (lambda ws: {n: w for n, w in ws.items() if n != "fc.weight"}, ArgumentError, r"'fc\.weight': None"),
    "one more": (lambda ws: {**ws, "bn1.weight": torch.ones(8)}, ArgumentError, r"'bn1\.weight': \(8,\)"),
    "another shape": (lambda ws: {n: w[:1] for n, w in ws.items()}, ArgumentError, r"'fc\.weight': \(1, 32\)"),
}


@pytest.mark.parametrize(("function", "error", "message"), SCORES.values(), ids=SCORES)
@pytest.mark.parametrize("allocation", [Global(), ERK()])
def test_a_criterion_that_scores_wrongly_is_named(net, function, error, message, allocation):
    with pytest.raises(error, match=f"Returns .*{message}"):
        prune(net, Returns(function), sparsity=0.5, allocation=allocation)


def test_nan_weights_are_found(net):
    with torch.no_grad():
        net.fc.weight[3, 4] = math.nan
    with pytest.raises(NonFiniteError, match=r"Magnitude scores of fc\.weight: 1 of 320"):
        prune(net, Magnitude(), sparsity=0.5)


@pytest.mark.parametrize(
    "model", [nn.ReLU(), nn.BatchNorm2d(3), nn.Embedding(4, 3), nn.Linear(3, 2).requires_grad_(False)]
)
def test_a_model_without_weights_to_prune(model):
    with pytest.raises(NothingToPruneError, match=f"{type(model).__name__} has nothing to prune"):
        prune(model, Magnitude(), sparsity=0.5)


def test_data_that_is_none_or_empty_or_no_batches(net, batch):
    for data in (None, [], iter([]), batch[0], batch, [batch[0]]):
        with pytest.raises(DataError, match="snip"):
            prune(net, SNIP(cross_entropy), data=data, sparsity=0.5)


def test_a_loss_that_is_no_number_or_nan(net, batch):
    with pytest.raises(ArgumentError, match=r"shape \(16,\)"):
        prune(net, SNIP(nn.CrossEntropyLoss(reduction="none")), data=[batch], sparsity=0.5)
    with pytest.raises(NonFiniteError, match="loss is nan"):
        prune(net, SNIP(lambda out, y: cross_entropy(out, y) * math.nan), data=[batch], sparsity=0.5)


def test_a_refusal_leaves_the_model_as_it_was(net, batch):
    net.bn1.eval()
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    chance = torch.get_rng_state()
    with pytest.raises(DataError, match="meta"):
        prune(net, SNIP(cross_entropy, training=True), data=[batch, (batch[0].to("meta"), batch[1])], sparsity=0.5)
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())
    assert net.training
    assert not net.bn1.training
    assert torch.equal(torch.get_rng_state(), chance)
    assert list(prunable(net)) == ["conv1.weight", "conv2.weight", "fc.weight"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"criterion": "snip"}, "criterion is an object.*'snip'"),
        ({"criterion": th.SNIP}, "criterion is an object.*SNIP"),
        ({"allocation": th.ERK}, "allocation is an object.*ERK"),
        ({"allocation": "erk"}, "allocation is an object.*'erk'"),
        ({"model": {}}, "model is a torch.nn.Module: got dict"),
        ({"example": (1, 4)}, "example is a tensor.*tuple"),
    ],
)
def test_names_and_classes_in_place_of_objects(changes, message):
    arguments = {"model": torch.nn.Linear(4, 2), "criterion": th.Magnitude(), "sparsity": 0.5, **changes}
    with pytest.raises(ArgumentError, match=message):
        th.prune(arguments.pop("model"), arguments.pop("criterion"), **arguments)
