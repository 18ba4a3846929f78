import numpy as np
import pytest
import torch
from torch import nn

from thresher.core.errors import ArgumentError
from thresher.models import build
from thresher.models.resnet import ResNet, parse_resnet


@pytest.mark.parametrize(
    ("activation", "function"),
    [("relu", lambda x: np.maximum(x, 0.0)), ("leaky-relu", lambda x: np.where(x < 0, x / 5, x))],
)
@pytest.mark.parametrize("padded", [False, True])
def test_against_numpy(oracle, state_of, with_random_statistics, activation, function, padded):
    net = with_random_statistics(ResNet((2, 7, 8), 3, depth=14, activation=activation, padded=padded))
    images = torch.randn(2, 2, 7, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    state = state_of(net)

    def conv_bn(values, name, suffix, stride=1, padding=1):
        values = oracle.convolve(values, state[f"{name}conv{suffix}.weight"], stride=stride, padding=padding)
        return oracle.normalise(values, state, f"{name}bn{suffix}")

    hidden = function(conv_bn(images.numpy(), "", "1"))
    for stage in (1, 2, 3):
        for block in (0, 1):
            name, stride = f"stage{stage}.{block}.", 2 if stage > 1 and block == 0 else 1
            residual = conv_bn(function(conv_bn(hidden, name, "1", stride)), name, "2")
            if stride == 2 and padded:
                hidden = np.concatenate([hidden[:, :, ::2, ::2], np.zeros_like(hidden[:, :, ::2, ::2])], axis=1)
            elif stride == 2:
                hidden = conv_bn(hidden, f"{name}shortcut.", "", stride=2, padding=0)
            hidden = function(hidden + residual)
    assert hidden.shape == (2, 64, 2, 2)
    expected = oracle.linear(hidden.mean((2, 3)), state, "fc")
    np.testing.assert_allclose(net(images).detach().numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("depth", [20, 32, 56, 110])
def test_depth_counts_the_main_path(depth):
    with torch.device("meta"):
        net = build(f"resnet-{depth}")
    main = [n for n, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear) and "shortcut" not in n]
    assert len(main) == depth


def test_feature_maps(map_sides):
    sides = map_sides(build("resnet-20"), nn.Conv2d)
    assert sides == [(32, 32)] * 7 + [(16, 16)] * 7 + [(8, 8)] * 7


@pytest.mark.parametrize("depth", [2, 7, 21])
def test_a_depth_that_is_none(depth):
    with pytest.raises(ArgumentError, match=f"6n\\+2.*got {depth}"):
        ResNet((3, 32, 32), 10, depth=depth)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("resnet-44", {"depth": 44}),
        ("resnet-20-8-padded", {"depth": 20, "k": 8, "padded": True}),
        ("resnet-32-leaky-relu", {"depth": 32, "activation": "leaky-relu"}),
        ("resnet-32-4-selu-padded", {"depth": 32, "k": 4, "activation": "selu", "padded": True}),
        *(
            (name, None)
            for name in ("resnet-", "resnet20", "resnet-20-", "wrn-20", "resnet-20-padded-tanh-2", "resnet-2O")
        ),
    ],
)
def test_names(name, arguments):
    assert parse_resnet(name) == arguments


def test_padded_networks_have_no_weights_in_shortcuts():
    with torch.device("meta"):
        plain, padded = build("resnet-20-2"), build("resnet-20-2-padded")
    assert list(padded.state_dict()) == [name for name in plain.state_dict() if "shortcut" not in name]
