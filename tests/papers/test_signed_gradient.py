import copy

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from thresher.core.prunable import prunable
from thresher.papers.signed_gradient import SignedGradient


def test_scores_are_the_gradients_of_autograd_with_their_signs_turned():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Dropout(0.9), nn.Linear(4, 3))
    data = [(torch.randn(6, 5), torch.randint(3, (6,))) for _ in range(2)]
    before = copy.deepcopy(net.state_dict())
    scores = SignedGradient().scores(net, prunable(net), data)
    assert net.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    twin = copy.deepcopy(net).eval()
    sum(cross_entropy(twin(x), y) for x, y in data).backward()
    for name, parameter in prunable(twin).items():
        torch.testing.assert_close(scores[name], -parameter.grad)
    assert (scores["0.weight"] < 0).any()
    assert (scores["0.weight"] > 0).any()
