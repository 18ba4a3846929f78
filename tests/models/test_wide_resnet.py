import numpy as np
import pytest
import torch
from torch import nn

from thresher.core.errors import ArgumentError
from thresher.models import build
from thresher.models.wide_resnet import WideResNet, parse_wide_resnet


def test_against_numpy(oracle, state_of, with_random_statistics):
    net = with_random_statistics(WideResNet((2, 7, 8), 3, depth=16, k=2))
    images = torch.randn(2, 2, 7, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    state = state_of(net)

    def conv(values, name, stride=1, padding=1):
        return oracle.convolve(values, state[f"{name}.weight"], stride=stride, padding=padding)

    hidden = conv(images.numpy(), "conv1")
    for stage in (1, 2, 3):
        for block in (0, 1):
            name, stride = f"stage{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            activated = oracle.relu(oracle.normalise(hidden, state, f"{name}.bn1"))
            residual = oracle.normalise(conv(activated, f"{name}.conv1", stride), state, f"{name}.bn2")
            residual = conv(oracle.relu(residual), f"{name}.conv2")
            # the block that changes the width activates before it splits, so its shortcut sees the activation
            hidden = residual + (conv(activated, f"{name}.shortcut", stride, padding=0) if block == 0 else hidden)
    assert hidden.shape == (2, 128, 2, 2)
    features = oracle.relu(oracle.normalise(hidden, state, "bn")).mean((2, 3))
    np.testing.assert_allclose(net(images).detach().numpy(), oracle.linear(features, state, "fc"), rtol=1e-9)


def test_no_shortcut_convolution_where_the_width_stays():
    with torch.device("meta"):
        net = WideResNet((3, 32, 32), 10, depth=10, k=1)
    assert [n for n, _ in net.named_parameters() if "shortcut" in n] == [
        "stage2.0.shortcut.weight",
        "stage3.0.shortcut.weight",
    ]


@pytest.mark.parametrize(("name", "depth"), [("wrn-16-8", 16), ("wrn-16-10", 16), ("wrn-22-8", 22)])
def test_depth_counts_every_convolution(name, depth):
    with torch.device("meta"):
        net = build(name)
    assert sum(isinstance(m, nn.Conv2d) for m in net.modules()) == depth


@pytest.mark.parametrize(("side", "first"), [(32, 32), (63, 63), (64, 32)])
def test_feature_maps(map_sides, side, first):
    sides = map_sides(WideResNet((3, side, side), 10, depth=10, k=1), nn.Conv2d)
    halves = [first, -(-first // 2), -(-first // 4)]
    assert sides == [(half, half) for half in halves for _ in range(3)]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("wrn-28-10", {"depth": 28, "k": 10}), ("wrn-16", None), ("wrn-16-8-tanh", None), ("resnet-16-8", None)],
)
def test_names(name, arguments):
    assert parse_wide_resnet(name) == arguments


@pytest.mark.parametrize(("depth", "k"), [(4, 8), (17, 8), (16, 0)])
def test_a_depth_or_width_that_is_none(depth, k):
    with pytest.raises(ArgumentError, match=f"got WRN-{depth}-{k}"):
        WideResNet((3, 32, 32), 10, depth=depth, k=k)
