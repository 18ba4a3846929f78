import pytest
import torch
from torch import nn

from thresher.core.prunable import prunable
from thresher.models import build

# thesis Table 3.5, as [height, width, in, out] and [in, out]
CONVOLUTIONS = [[11, 11, 3, 96], [5, 5, 96, 256], [3, 3, 256, 384], [3, 3, 384, 384], [3, 3, 384, 256]]


@pytest.mark.parametrize(("name", "k"), [("alexnet-s", 1), ("alexnet-b", 2)])
@pytest.mark.parametrize(("input_shape", "classes"), [((3, 32, 32), 10), ((3, 64, 64), 200)])
def test_weights_are_those_of_table_3_5(name, k, input_shape, classes):
    with torch.device("meta"):
        net = build(name, input_shape=input_shape, num_classes=classes)
    expected = [(out, fan_in, height, width) for height, width, fan_in, out in CONVOLUTIONS]
    expected += [(1024 * k, 256), (1024 * k, 1024 * k), (classes, 1024 * k)]
    weights = prunable(net)
    assert [tuple(w.shape) for w in weights.values()] == expected
    assert list(prunable(net, biases=True)) == [
        f"{name.removesuffix('.weight')}.{part}" for name in weights for part in ("weight", "bias")
    ]
    assert sum(isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d) for m in net.modules()) == 7


@pytest.mark.parametrize(
    ("side", "maps", "first_stride"),
    [(32, [16, 8, 4, 2, 1], 2), (28, [14, 7, 4, 2, 1], 2), (64, [16, 8, 4, 2, 1], 4), (17, [9, 5, 3, 2, 1], 2)],
)
def test_feature_maps(side, maps, first_stride, map_sides):
    net = build("alexnet-s", input_shape=(3, side, side))
    assert map_sides(net, nn.Conv2d) == [(m, m) for m in maps]
    assert net.conv1.stride == (first_stride, first_stride)


def test_an_oblong_image(map_sides):
    net = build("alexnet-s", input_shape=(1, 32, 64))
    assert map_sides(net, nn.Conv2d)[-1] == (1, 2)
    assert net.fc6.in_features == 512


def test_every_layer_but_the_last_is_normalised_then_rectified():
    with torch.device("meta"):
        kinds = [type(layer) for layer in build("alexnet-s").children()]
    hidden = [nn.Linear, nn.BatchNorm1d, nn.ReLU]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * 5 + [nn.Flatten] + hidden * 2 + [nn.Linear]
