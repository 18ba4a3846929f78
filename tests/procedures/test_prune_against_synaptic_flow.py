"""prune against the definitions of Synaptic-Flow's published code, written anew in plain torch with equal weights.

Of ganguli-lab/Synaptic-Flow (Pruners/pruners.py, prune.py): scores with masks multiplied into the weights, one global
threshold a round, density ρ^{k/n}. One departure: a removed weight stays removed here; there a signed score (GraSP),
a mask's gradient (SNIP) or a new draw (random) can bring it back, so the twin bars it.
"""

import copy

import pytest
import torch
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from thresher.core.mask import Mask
from thresher.core.prunable import prunable
from thresher.criteria import SNIP, GraSP, Magnitude, Random, SynFlow
from thresher.procedures import prune
from thresher.schedules import Exponential, Linear


def random_scores(draw):
    def scores(model, masks, weights, data):
        drawn = torch.rand(sum(w.numel() for w in weights.values()), generator=draw).split(
            [w.numel() for w in weights.values()]
        )
        return {n: -part.view(w.shape) for (n, w), part in zip(weights.items(), drawn, strict=True)}

    return scores


def magnitude_scores(model, masks, weights, data):
    return {n: w.abs() for n, w in weights.items()}


def snip_scores(model, masks, weights, data):
    masks = {n: m.clone().requires_grad_() for n, m in masks.items()}
    for x, y in data:
        cross_entropy(functional_call(model, {n: masks[n] * w for n, w in weights.items()}, (x,)), y).backward()
    total = sum(m.grad.abs().sum() for m in masks.values())
    return {n: m.grad.abs() / total for n, m in masks.items()}


def grasp_scores(model, masks, weights, data):
    weights = {n: w.clone().requires_grad_() for n, w in weights.items()}

    def gradient(x, y, graph):
        placed = {n: masks[n] * w for n, w in weights.items()}
        value = cross_entropy(functional_call(model, placed, (x,)) / 200, y)
        return torch.autograd.grad(value, list(weights.values()), create_graph=graph)

    stopped = [sum(parts) for parts in zip(*(gradient(x, y, False) for x, y in data), strict=True)]
    for x, y in data:
        sum((s * g).sum() for s, g in zip(stopped, gradient(x, y, True), strict=True)).backward()
    raw = {n: (w.grad * w).detach() for n, w in weights.items()}
    norm = sum(s.sum() for s in raw.values()).abs() + 1e-10
    return {n: s / norm for n, s in raw.items()}


def synflow_scores(model, masks, weights, data):
    twin = copy.deepcopy(model)
    for tensor in twin.state_dict().values():
        tensor.abs_()
    weights = {n: w.abs().requires_grad_() for n, w in weights.items()}
    ones = torch.ones_like(data[0][0][:1])
    functional_call(twin, {n: masks[n] * w for n, w in weights.items()}, (ones,)).sum().backward()
    return {n: (w.grad * w).detach().abs() for n, w in weights.items()}


def published_masks(model, scores, data, density, rounds, linear=False):
    weights = {n: w.detach().clone() for n, w in prunable(model).items()}
    masks = {n: torch.ones_like(w) for n, w in weights.items()}
    for k in range(1, rounds + 1):
        came = scores(model, masks, weights, data)
        for name, mask in masks.items():
            came[name][mask == 0] = -torch.inf
        flat = torch.cat([s.reshape(-1) for s in came.values()])
        left = 1 - (1 - density) * k / rounds if linear else density ** (k / rounds)
        removed = round((1 - left) * flat.numel())  # theirs truncates; at whole numbers that is the same
        threshold = flat.kthvalue(removed).values
        masks = {n: (s > threshold).to(s) for n, s in came.items()}
    return Mask({n: m.bool() for n, m in masks.items()})


CASES = {
    "magnitude": (Magnitude(), magnitude_scores),
    "snip": (SNIP(cross_entropy), snip_scores),
    "grasp": (GraSP(cross_entropy, training=False), grasp_scores),
    "grasp-training": (GraSP(cross_entropy, training=True), grasp_scores),
    "synflow": (SynFlow(), synflow_scores),
}


@pytest.mark.parametrize(("schedule", "density"), [(Exponential(1), 0.125), (Exponential(3), 0.125), (Linear(3), 0.4)])
@pytest.mark.parametrize("name", CASES)
def test_masks_are_equal_element_by_element(net, batch, name, schedule, density):
    criterion, definition = CASES[name]
    net, (x, y) = net.double().train(name == "grasp-training"), batch
    data = [(part.double(), target) for part, target in zip(x.split(8), y.split(8), strict=True)]
    mask = prune(net, criterion, sparsity=1 - density, data=data, schedule=schedule, example=data[0][0],
                 on_collapse="ignore")  # fmt: skip
    twin = copy.deepcopy(net)
    expected = published_masks(twin, definition, data, density, schedule.rounds, isinstance(schedule, Linear))
    assert mask == expected
    assert mask.kept == round(1040 * density)


def test_random_masks_are_equal_under_the_same_draws(net):
    criterion = Random(torch.Generator().manual_seed(5))
    definition = random_scores(torch.Generator().manual_seed(5))
    mask = prune(net, criterion, sparsity=0.875, schedule=Exponential(3), on_collapse="ignore")
    assert mask == published_masks(net, definition, None, 0.125, 3)
