"""prune against torch.nn.utils.prune on tensors without ties: the same choice, weight by weight."""

import copy

import pytest
import torch
from torch.nn.utils import prune as torch_prune

from thresher.core.mask import Mask
from thresher.core.prunable import prunable
from thresher.core.seeds import isolated_random_state
from thresher.criteria import Magnitude, Random
from thresher.procedures import prune

AMOUNTS = pytest.mark.parametrize("amount", [0.1, 0.5, 0.77, 0.9, 0.985])


LAYERS = ("conv1", "conv2", "fc")


def layers(model):
    return [(model.get_submodule(name), "weight") for name in LAYERS]


def masks_of(model):
    return Mask({f"{name}.weight": model.get_submodule(name).weight_mask.bool() for name in LAYERS})


@AMOUNTS
def test_global_magnitude(net, amount):
    twin = copy.deepcopy(net)
    torch_prune.global_unstructured(layers(twin), pruning_method=torch_prune.L1Unstructured, amount=amount)
    ours = prune(net, Magnitude(), sparsity=amount, on_collapse="ignore")
    assert ours == masks_of(twin)


@AMOUNTS
def test_magnitude_layer_by_layer(net, amount):
    twin = copy.deepcopy(net)
    for layer, name in layers(twin):
        torch_prune.l1_unstructured(layer, name, amount)
    ours = prune(net, Magnitude(), sparsity=dict.fromkeys(prunable(net), amount), on_collapse="ignore")
    assert ours == masks_of(twin)


@AMOUNTS
def test_global_random_with_the_same_draw(net, amount):
    twin = copy.deepcopy(net)
    with isolated_random_state(13):
        torch_prune.global_unstructured(layers(twin), pruning_method=torch_prune.RandomUnstructured, amount=amount)
    criterion = Random(torch.Generator().manual_seed(13))
    assert prune(net, criterion, sparsity=amount, on_collapse="ignore") == masks_of(twin)


@AMOUNTS
def test_random_layer_by_layer_with_the_same_draws(net, amount):
    twin = copy.deepcopy(net)
    with isolated_random_state(17):
        for layer, name in layers(twin):
            torch_prune.random_unstructured(layer, name, amount)
    criterion = Random(torch.Generator().manual_seed(17))
    ours = prune(net, criterion, sparsity=dict.fromkeys(prunable(net), amount), on_collapse="ignore")
    assert ours == masks_of(twin)
