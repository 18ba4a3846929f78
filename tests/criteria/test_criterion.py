"""The family contract: every row of CRITERIA scores every weight and leaves the model as it was."""

import copy
import dataclasses
import pickle

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from thresher.core.errors import DataError
from thresher.core.prunable import prunable
from thresher.core.touch import listen
from thresher.criteria import CRITERIA, SNIP, GradientMagnitude, GraSP, Magnitude, Random, SynFlow

INSTANCES = {
    "random": Random(),
    "magnitude": Magnitude(),
    "gradient-magnitude": GradientMagnitude(cross_entropy),
    "snip": SNIP(cross_entropy, training=True),
    "grasp": GraSP(cross_entropy, training=True),
    "synflow": SynFlow(),
}
READERS = ["gradient-magnitude", "snip", "grasp"]
EACH = pytest.mark.parametrize("criterion", INSTANCES.values(), ids=INSTANCES)
EACH_BUT_RANDOM = pytest.mark.parametrize("criterion", [c for n, c in INSTANCES.items() if n != "random"])
EACH_READER = pytest.mark.parametrize("name", READERS)


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[n], right[n]) for n in left)


def test_the_table_holds_these_criteria():
    assert {name: type(criterion) for name, criterion in INSTANCES.items()} == CRITERIA


@EACH
def test_one_finite_detached_score_per_weight(criterion, conv_net, images):
    weights = prunable(conv_net)
    scores = criterion.scores(conv_net, weights, images, images[0][0])
    assert {n: s.shape for n, s in scores.items()} == {n: w.shape for n, w in weights.items()}
    for name, score in scores.items():
        assert score.isfinite().all(), name
        assert score.unique().numel() > 1, name
        assert not score.requires_grad
        assert score.data_ptr() != weights[name].data_ptr()


@EACH
def test_scores_have_the_weights_precision_and_synflows_float64(criterion, conv_net, images):
    batches = [(x.float(), y) for x, y in images]
    scores = criterion.scores(conv_net.float(), prunable(conv_net), batches, batches[0][0])
    expected = torch.float64 if isinstance(criterion, SynFlow) else torch.float32
    assert {score.dtype for score in scores.values()} == {expected}


@EACH
def test_the_model_its_modes_buffers_gradients_and_the_random_state_come_back(criterion, conv_net, images):
    conv_net.train()
    conv_net.bn.eval()  # a mixed state, as with a frozen batch norm
    conv_net.fc.weight.grad = torch.full_like(conv_net.fc.weight, 7.0)
    conv_net.conv2.bias.requires_grad_(False)
    state = {name: tensor.clone() for name, tensor in conv_net.state_dict().items()}
    pointers = {name: p.data_ptr() for name, p in conv_net.named_parameters()}
    torch.manual_seed(11)
    chance = torch.get_rng_state()

    criterion.scores(conv_net, prunable(conv_net), images, images[0][0])

    assert torch.equal(torch.get_rng_state(), chance)
    assert same(state, conv_net.state_dict())
    assert pointers == {name: p.data_ptr() for name, p in conv_net.named_parameters()}
    assert [n for n, m in conv_net.named_modules() if not m.training] == ["bn"]
    assert [n for n, p in conv_net.named_parameters() if not p.requires_grad] == ["conv2.bias"]
    assert [n for n, p in conv_net.named_parameters() if p.grad is not None] == ["fc.weight"]
    assert conv_net.fc.weight.grad.unique().tolist() == [7.0]


@EACH
def test_the_same_call_gives_the_same_scores_whatever_the_random_state_and_gradient_mode(criterion, conv_net, images):
    call = (conv_net.eval(), prunable(conv_net), images, images[0][0])
    eval_criterion = dataclasses.replace(criterion, training=False) if hasattr(criterion, "training") else criterion
    scores = eval_criterion.scores(*call)
    torch.manual_seed(99)
    with torch.no_grad():
        assert same(scores, eval_criterion.scores(*call))


@EACH_BUT_RANDOM
def test_the_weights_given_are_scored_not_the_models(criterion, tanh_net, points):
    weights = {n: (w * 1.5).detach() for n, w in prunable(tanh_net).items()}
    scores = criterion.scores(tanh_net, weights, points)
    tanh_net.load_state_dict(tanh_net.state_dict() | weights)
    assert same(scores, criterion.scores(tanh_net, prunable(tanh_net), points))


@EACH_BUT_RANDOM
def test_weights_that_are_zero_score_zero(criterion, tanh_net, points):
    weights = {n: w.detach().clone() for n, w in prunable(tanh_net).items()}
    weights["2.weight"][1:3] = 0.0
    scores = criterion.scores(tanh_net, weights, points)
    assert scores["2.weight"][1:3].abs().max() == 0.0
    assert scores["2.weight"][0].abs().min() > 0.0


@EACH
def test_a_shuffling_loader_leaves_the_random_state_alone(criterion, tanh_net, points, joined):
    loader = DataLoader(TensorDataset(*joined(points)[0]), batch_size=4, shuffle=True)
    torch.manual_seed(5)
    chance = torch.get_rng_state()
    criterion.scores(tanh_net, prunable(tanh_net), loader)
    assert torch.equal(torch.get_rng_state(), chance)


@EACH_READER
def test_readers_need_examples_and_report_every_read(name, tanh_net, points):
    with listen() as touches:
        INSTANCES[name].scores(tanh_net, prunable(tanh_net), iter(points))
    passes = 2 if name == "grasp" else 1
    assert [(t.purpose, t.count) for t in touches] == [(name, 5), (name, 3), (name, 4)] * passes
    for nothing in (None, [], iter([])):
        with pytest.raises(DataError, match=name):
            INSTANCES[name].scores(tanh_net, prunable(tanh_net), nothing)


@pytest.mark.parametrize("name", [n for n in INSTANCES if n not in READERS])
def test_the_others_read_nothing(name, tanh_net):
    def unreadable():
        raise AssertionError("read")
        yield

    with listen() as touches:
        INSTANCES[name].scores(tanh_net, prunable(tanh_net), unreadable())
    assert touches == []


@EACH_READER
@pytest.mark.parametrize("which", ["inputs", "targets"])
def test_a_batch_on_another_device_is_refused(name, which, tanh_net, points):
    x, y = points[0]
    batch = (x.to("meta"), y) if which == "inputs" else (x, y.to("meta"))
    with pytest.raises(DataError, match=f"{which} on meta.*cpu"):
        INSTANCES[name].scores(tanh_net, prunable(tanh_net), [points[1], batch])


@EACH
def test_a_criterion_is_a_frozen_value(criterion):
    assert copy.deepcopy(criterion) == criterion == pickle.loads(pickle.dumps(criterion))
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
        criterion.loss = None
