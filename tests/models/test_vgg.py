import pytest
import torch
from torch import nn

from thresher.core.prunable import prunable
from thresher.models import build
from thresher.models.vgg import parse_vgg

# thesis Table 3.6: (in, out) of the convolutions; the third of a stage is 1×1 in VGG-C
CONVOLUTIONS = [
    *[(3, 64), (64, 64), (64, 128), (128, 128)],
    *[(128, 256), (256, 256), (256, 256)],
    *[(256, 512), (512, 512), (512, 512), (512, 512), (512, 512), (512, 512)],
]
THIRD = (6, 9, 12)


@pytest.mark.parametrize(("name", "third", "hidden"), [("vgg-c", 1, 2), ("vgg-d", 3, 2), ("vgg-like", 3, 1)])
@pytest.mark.parametrize(("side", "classes"), [(32, 10), (64, 200)])
def test_weights_are_those_of_table_3_6(name, third, hidden, side, classes):
    with torch.device("meta"):
        net = build(name, input_shape=(3, side, side), num_classes=classes)
    kernels = [third if i in THIRD else 3 for i in range(13)]
    expected = [(out, fan_in, k, k) for (fan_in, out), k in zip(CONVOLUTIONS, kernels, strict=True)]
    expected += [(512, 512)] * hidden + [(classes, 512)]
    weights = prunable(net)
    assert [tuple(w.shape) for w in weights.values()] == expected
    assert list(prunable(net, biases=True)) == [
        f"{name.removesuffix('.weight')}.{part}" for name in weights for part in ("weight", "bias")
    ]
    assert sum(isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d) for m in net.modules()) == 13 + hidden


@pytest.mark.parametrize(
    ("side", "first", "pools"),
    [(32, 32, [16, 8, 4, 2, 1]), (64, 32, [16, 8, 4, 2, 1]), (28, 28, [14, 7, 4, 2, 1]), (17, 17, [9, 5, 3, 2, 1])],
)
def test_feature_maps(side, first, pools, map_sides):
    net = build("vgg-c", input_shape=(3, side, side))
    assert map_sides(net, nn.Conv2d)[0] == (first, first)
    assert map_sides(net, nn.MaxPool2d) == [(m, m) for m in pools]


def test_an_oblong_image(map_sides):
    net = build("vgg-c", input_shape=(1, 33, 97))
    assert map_sides(net, nn.MaxPool2d)[-1] == (2, 4)
    assert net.fc14.in_features == 512 * 8


def test_vgg16_pools_four_times_then_averages_what_is_left(map_sides):
    net = build("vgg16")
    assert map_sides(net, nn.MaxPool2d) == [(16, 16), (8, 8), (4, 4), (2, 2)]
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    maps: list[torch.Tensor] = []
    net.activation13.register_forward_hook(lambda _module, _inputs, output: maps.append(output))
    with torch.no_grad():
        logits = net.eval()(images)
        average = nn.functional.avg_pool2d(maps[0], 2).flatten(1)  # what open_lth and SynFlow do
        torch.testing.assert_close(logits, average @ net.fc14.weight.T + net.fc14.bias)


def test_every_layer_but_the_last_is_normalised_then_rectified():
    convolution, hidden = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU], [nn.Linear, nn.BatchNorm1d, nn.ReLU]
    stages = [kind for n in (2, 2, 3, 3, 3) for kind in [*convolution * n, nn.MaxPool2d]]
    with torch.device("meta"):
        c, like, lottery = ([type(layer) for layer in build(n).children()] for n in ("vgg-c", "vgg-like", "vgg16"))
    assert c == [*stages, nn.Flatten, *hidden * 2, nn.Linear]
    assert like == [*stages, nn.Flatten, *hidden, nn.Linear]
    assert lottery == [*stages[:-1], nn.AdaptiveAvgPool2d, nn.Flatten, nn.Linear]


def test_the_activation_stands_where_relu_does():
    with torch.device("meta"):
        plain, tanh = build("vgg-c"), build("vgg-c-tanh")
    assert list(tanh.state_dict()) == list(plain.state_dict())
    expected = [nn.Tanh if type(layer) is nn.ReLU else type(layer) for layer in plain.children()]
    assert [type(layer) for layer in tanh.children()] == expected
    assert nn.Tanh in expected


def test_without_normalisation_the_rest_is_as_it_was():
    with torch.device("meta"):
        plain, bare = build("vgg-c"), build("vgg-c-no-norm")
    kept = [layer for layer in plain.children() if not isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d)]
    assert [type(layer) for layer in bare.children()] == [type(layer) for layer in kept]
    assert len(kept) == len(list(plain.children())) - 15
    assert sum(p.numel() for p in bare.parameters()) == 10_526_538  # thesis Table 3.2


@pytest.mark.parametrize(
    ("name", "beyond"),
    [
        ("vgg-d-selu", {"activation": "selu"}),
        ("vgg-d-no-norm", {"normalized": False}),
        ("vgg-d-leaky-relu-no-norm", {"activation": "leaky-relu", "normalized": False}),
    ],
)
def test_names(name, beyond):
    assert parse_vgg(name) == {"third_kernel": 3, "num_hidden": 2, **beyond}


@pytest.mark.parametrize("name", ["vgg16", "vgg-e", "vgg-c-", "vgg-c-no-norm-tanh1", "VGG-C"])
def test_names_of_other_networks(name):
    assert parse_vgg(name) is None
