"""Random: uniform, reproducible, from the given generator and no other. Magnitude: the absolute value."""

import torch
from torch import nn

from thresher.core.prunable import prunable
from thresher.criteria import Magnitude, Random


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_scores_are_one_uniform_draw_over_all_tensors():
    net = nn.Sequential(nn.Linear(40, 50), nn.Linear(50, 30))
    scores = Random(seeded(3)).scores(net, prunable(net))
    flat = torch.cat([score.reshape(-1) for score in scores.values()])
    assert torch.equal(-flat, torch.rand(3500, generator=seeded(3)))
    assert flat.max() <= 0
    # Kolmogorov-Smirnov against the uniform law; 1.95/√n is exceeded once in a thousand seeds, and this one is fixed
    place = torch.arange(1, 3501) / 3500
    assert (flat.sort().values + 1 - place).abs().max() < 1.95 / 3500**0.5


def test_the_generator_advances_and_the_default_does_not():
    net = nn.Linear(5, 4)
    source = seeded(0)
    first, second = (Random(source).scores(net, prunable(net))["weight"] for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(first, Random(seeded(0)).scores(net, prunable(net))["weight"])
    again = [Random().scores(net, prunable(net))["weight"] for _ in range(2)]
    assert torch.equal(*again)


def test_scores_do_not_depend_on_the_weights():
    net = nn.Linear(5, 4)
    zero = {"weight": torch.zeros(4, 5)}
    assert torch.equal(
        Random(seeded(1)).scores(net, zero)["weight"], Random(seeded(1)).scores(net, prunable(net))["weight"]
    )


def test_magnitude_is_the_absolute_value_in_the_weights_own_type():
    weight = torch.tensor([[-2.0, 0.0], [1.5, -0.0]], dtype=torch.bfloat16)
    scores = Magnitude().scores(nn.Linear(2, 2), {"weight": weight})["weight"]
    assert scores.dtype is torch.bfloat16
    assert scores.tolist() == [[2.0, 0.0], [1.5, 0.0]]
