import numpy as np
import torch
from torch import nn

from thresher.criteria import Magnitude


def test_scores_are_absolute_values_of_the_weights_given():
    net = nn.Linear(5, 3)
    weights = {"weight": torch.randn(3, 5, generator=torch.Generator().manual_seed(0))}
    scores = Magnitude().scores(net, weights)
    assert np.array_equal(scores["weight"].numpy(), np.abs(weights["weight"].numpy()))


def test_the_model_and_the_weights_are_not_touched():
    net = nn.Linear(5, 3)
    before = net.weight.detach().clone()
    score = Magnitude().scores(net, {"weight": net.weight})["weight"]
    score.zero_()
    assert torch.equal(net.weight, before)
    assert not score.requires_grad
