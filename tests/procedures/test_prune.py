"""prune: exact totals, nobody revived, determinism, protected and given tensors, whatever the parts."""

import itertools
from decimal import Decimal

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from thresher.allocations import ERK, LAMP, Global, PerTensor, Uniform
from thresher.core.errors import ArgumentError
from thresher.core.mask import Mask
from thresher.core.prunable import prunable
from thresher.criteria import SNIP, GradientMagnitude, GraSP, Magnitude, Random, SynFlow
from thresher.layers import sparsify
from thresher.procedures import prune
from thresher.schedules import Cubic, Exponential, Linear, OneShot

CRITERIA = {
    "random": lambda: Random(torch.Generator().manual_seed(7)),
    "magnitude": Magnitude,
    "gradient-magnitude": lambda: GradientMagnitude(cross_entropy),
    "snip": lambda: SNIP(cross_entropy),
    "grasp": lambda: GraSP(cross_entropy),
    "synflow": SynFlow,
}
ALLOCATIONS = [Global(), Uniform(), ERK(), LAMP()]
SCHEDULES = [OneShot(), Exponential(3), Linear(2), Cubic(2)]
SIGNED = ("random", "grasp")  # LAMP refuses them


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_total_is_exact_and_nobody_revived_for_every_combination(net, batch, watched, criterion):
    batch = batch[0][:4], batch[1][:4]
    for allocation, schedule in itertools.product(ALLOCATIONS, SCHEDULES):
        if isinstance(allocation, LAMP) and criterion in SIGNED:
            continue
        watcher = watched(CRITERIA[criterion]())
        mask = prune(net, watcher, sparsity=0.83, data=[batch], allocation=allocation, schedule=schedule,
                     example=batch[0], on_collapse="ignore")  # fmt: skip
        what = f"{allocation} {schedule}"
        assert (mask.total, mask.kept) == (1040, 177), what  # 0.17 · 1040 = 176.8
        assert mask.counts.keys() == prunable(net).keys()
        final = ~torch.cat([keep.reshape(-1) for keep in mask.values()])
        rounds = [*watcher.removed, final]
        assert len(rounds) == schedule.rounds + 1
        assert not rounds[0].any()
        for before, after in itertools.pairwise(rounds):
            assert (after | ~before).all(), what  # removed once, removed for good
        path = [int(removed.sum()) for removed in rounds]
        assert path == [1040 - round(1040 - schedule.at(k / schedule.rounds, 0.83) * 1040)
                        for k in range(schedule.rounds + 1)], what  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    sparsity=st.floats(0, 0.99), rounds=st.integers(1, 4), allocation=st.sampled_from(ALLOCATIONS),
    widths=st.lists(st.integers(1, 9), min_size=2, max_size=4), tied=st.booleans(),
)  # fmt: skip
def test_the_total_is_exact_for_drawn_shapes_and_tied_weights(sparsity, rounds, allocation, widths, tied):
    model = nn.Sequential(*[nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(widths)])
    if tied:
        for layer in model:
            nn.init.constant_(layer.weight, 0.5)
    total = sum(a * b for a, b in itertools.pairwise(widths))
    expected = round((1 - Decimal(repr(sparsity))) * total)  # half to even
    if expected == 0:
        sparsity, expected = 0.0, total
    mask = prune(model, Magnitude(), sparsity=sparsity, allocation=allocation, schedule=Exponential(rounds),
                 on_collapse="ignore")  # fmt: skip
    assert mask.kept == expected


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_same_call_gives_the_same_mask_and_leaves_the_model(net, batch, criterion):
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    chance = torch.get_rng_state()
    masks = [
        prune(net, CRITERIA[criterion](), sparsity=0.7, data=[batch], schedule=Linear(3), example=batch[0])
        for _ in range(2)
    ]
    assert masks[0] == masks[1]
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())
    assert net.training
    assert torch.equal(torch.get_rng_state(), chance)
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize(
    ("protect", "names"),
    [
        (["first"], {"conv1.weight"}),
        (["last"], {"fc.weight"}),
        (["first", "last"], {"conv1.weight", "fc.weight"}),
        (["conv2.weight"], {"conv2.weight"}),
        (["conv*"], {"conv1.weight", "conv2.weight"}),
    ],
)
def test_protected_tensors_stay_dense_and_the_others_make_up_for_them(net, protect, names):
    mask = prune(net, Magnitude(), sparsity=0.25, protect=protect, schedule=Linear(2))
    assert mask.kept == 780
    assert {name for name, sparsity in mask.sparsities.items() if sparsity == 0} == names


def test_sparsity_by_tensor(net):
    mask = prune(net, Magnitude(), sparsity={"conv2.weight": 0.5, "fc.weight": 0.9}, schedule=Cubic(3))
    assert mask.counts == {"conv1.weight": 144, "conv2.weight": 288, "fc.weight": 32}
    assert mask == prune(net, Magnitude(), allocation=PerTensor({"conv2.weight": 0.5, "fc.weight": 0.9}))


def test_parameters_by_pattern_and_by_dict(net):
    assert list(prune(net, Magnitude(), sparsity=0.5, parameters=["conv?.weight"])) == ["conv1.weight", "conv2.weight"]
    with_biases = prunable(net, biases=True)
    mask = prune(net, Magnitude(), sparsity=0.5, parameters=with_biases)
    assert list(mask) == list(with_biases)
    assert mask.kept == round(sum(p.numel() for p in with_biases.values()) / 2)


def test_a_starting_mask_is_gone_on_from(net):
    first = prune(net, Random(torch.Generator().manual_seed(3)), sparsity=0.5)
    second = prune(net, Magnitude(), sparsity=0.75, start=first, schedule=Linear(3))
    assert second.kept == 260
    assert (second & first) == second
    # of what the first left, the largest
    left = torch.cat([p.detach().abs().where(first[n], -1.0).reshape(-1) for n, p in prunable(net).items()])
    chosen = torch.cat([keep.reshape(-1) for keep in second.values()])
    assert set(chosen.nonzero().flatten().tolist()) == set(left.topk(260).indices.tolist())


def test_a_shared_weight_is_counted_and_pruned_once():
    net = nn.Sequential(nn.Linear(6, 6, bias=False), nn.Tanh(), nn.Linear(6, 6, bias=False), nn.Linear(6, 2))
    net[2].weight = net[0].weight
    mask = prune(net, Magnitude(), sparsity=0.5)
    assert mask.total == 36 + 12
    assert list(mask) == ["0.weight", "3.weight"]
    mask.apply_(net)
    assert torch.equal(net[2].weight == 0, ~mask["0.weight"])


def test_a_sparsity_of_zero_keeps_everything(net):
    assert prune(net, Magnitude(), sparsity=0.0) == Mask.full(prunable(net))


def test_an_iterator_that_can_be_read_once_lasts_for_all_rounds(net, batch):
    once = prune(net, SNIP(cross_entropy), data=iter([batch]), sparsity=0.7, schedule=Linear(3), example=batch[0])
    assert once == prune(net, SNIP(cross_entropy), data=[batch], sparsity=0.7, schedule=Linear(3), example=batch[0])


def test_truly_sparse_layers_are_named_with_the_way_back():
    net = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4))
    fast = sparsify(net, prune(net, Magnitude(), sparsity=0.5), "always")
    with pytest.raises(ArgumentError, match=r"0, 2 store kept weights only.*th\.densify"):
        prune(fast, Magnitude(), sparsity=0.9)
