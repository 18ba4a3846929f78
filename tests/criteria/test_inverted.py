import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from thresher.criteria import SNIP, GraSP, Inverted, Magnitude
from thresher.procedures import prune


def test_what_one_keeps_the_other_removes(conv_net):
    kept = prune(conv_net, Magnitude(), sparsity=0.5)
    inverted = prune(conv_net, Inverted(Magnitude()), sparsity=0.5)
    assert all(bool((kept[name] ^ inverted[name]).all()) for name in kept)


def test_over_two_rounds_the_largest_go_first_and_none_comes_back():
    net = nn.Linear(8, 1, bias=False)
    net.weight.data = torch.tensor([[3.0, -8.0, 1.0, 5.0, -2.0, 7.0, 4.0, -6.0]])
    from thresher.schedules import Exponential

    mask = prune(net, Inverted(Magnitude()), sparsity=0.75, schedule=Exponential(2))
    smallest = np.argsort(np.abs(net.weight.detach().numpy()[0]))[:2]
    assert sorted(mask["weight"].nonzero()[:, 1].tolist()) == sorted(smallest.tolist())


def test_signed_scores_are_inverted_too(conv_net, images):
    weights = {name: p for name, p in conv_net.named_parameters() if p.dim() > 1}
    plain = GraSP(cross_entropy).scores(conv_net, weights, images)
    inverted = Inverted(GraSP(cross_entropy)).scores(conv_net, weights, images)
    for name, scores in plain.items():
        assert torch.equal(inverted[name], -scores)


def test_it_reads_examples_if_the_other_does():
    assert Inverted(SNIP(cross_entropy)).reads_data
    assert not Inverted(Magnitude()).reads_data
