"""Gradient magnitude against a loop of backward passes, and the thesis's warning about leaving the weight out."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from thresher.core.prunable import prunable
from thresher.core.topk import top_k
from thresher.criteria import SNIP, GradientMagnitude


@pytest.mark.parametrize("times_weight", [True, False])
def test_the_loop_over_batches(conv_net, images, times_weight):
    weights = prunable(conv_net)
    expected = {n: torch.zeros_like(w) for n, w in weights.items()}
    twin = copy.deepcopy(conv_net).eval()
    for x, y in images:
        twin.zero_grad()
        cross_entropy(twin(x), y).backward()
        for name in expected:
            parameter = twin.get_parameter(name)
            expected[name] += (parameter.grad * (parameter if times_weight else 1.0)).detach().abs()
    scores = GradientMagnitude(cross_entropy, times_weight).scores(conv_net.train(), weights, images)
    for name in weights:
        torch.testing.assert_close(scores[name], expected[name], rtol=1e-10, atol=1e-15)


def test_with_batches_of_one_size_it_is_snips_mean_of_abs_times_their_number(tanh_net, points, joined):
    x, y = joined(points)[0]
    batches = list(zip(x.split(4), y.split(4), strict=True))
    weights = prunable(tanh_net)
    ours = GradientMagnitude(cross_entropy).scores(tanh_net, weights, batches)
    snip = SNIP(cross_entropy, "mean-of-abs").scores(tanh_net, weights, batches)
    for name in weights:
        torch.testing.assert_close(ours[name], 3 * snip[name], rtol=1e-10, atol=1e-15)


def test_without_the_weight_the_mask_follows_the_scale_of_the_data_and_with_it_it_does_not(points):
    # thesis, section 3.4.1: ∂L/∂w is the effect of an additive change of w, not of the connection's presence
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8, bias=False), nn.ReLU(), nn.Linear(8, 3)).double()

    def mask(times_weight, scale):
        """The best half, of data scaled up and a first layer scaled down: the same function of the same images."""
        weights = {"0.weight": net[0].weight.detach() / scale, "2.weight": net[2].weight.detach()}
        data = [(x * scale, y) for x, y in points]
        scores = GradientMagnitude(cross_entropy, times_weight).scores(net, weights, data)
        return top_k(torch.cat([score.reshape(-1) for score in scores.values()]), 28)

    assert torch.equal(mask(True, 1.0), mask(True, 1024.0))
    kept = mask(False, 1024.0)
    assert kept[:32].sum() == 28  # of 28 kept all are now in the first layer
    assert mask(False, 1.0)[:32].sum() < 28
