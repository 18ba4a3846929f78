"""VGG-C, VGG-D and VGG-like with hidden layers of 512, and the VGG16 of the lottery-ticket papers."""

import re
from collections.abc import Callable
from typing import Any

from torch import nn

from thresher.models.activation import activation_called
from thresher.models.classifier import ImageClassifier
from thresher.models.feed_forward import FeedForward
from thresher.models.image_shape import check_image, same_padding, smallest_side

_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # filters, convolutions
_KINDS = {
    "c": {"third_kernel": 1, "num_hidden": 2},
    "d": {"third_kernel": 3, "num_hidden": 2},
    "like": {"third_kernel": 3, "num_hidden": 1},
}
_UNNORMALIZED = "-no-norm"


def parse_vgg(name: str) -> dict[str, Any] | None:
    """The arguments of `vgg` that a name 'vgg-c[-ACTIVATION][-no-norm]' (or d, or like) writes, or None if it is none.

    >>> parse_vgg("vgg-like"), parse_vgg("vgg-c-tanh-no-norm")["activation"], parse_vgg("vgg16")
    ({'third_kernel': 3, 'num_hidden': 1}, 'tanh', None)
    """
    found = re.fullmatch(r"vgg-(c|d|like)(?:-([a-z-]+))?", name.removesuffix(_UNNORMALIZED))
    if found is None:
        return None
    arguments: dict[str, Any] = dict(_KINDS[found[1]])
    if found[2]:
        arguments["activation"] = found[2]
    if name.endswith(_UNNORMALIZED):
        arguments["normalized"] = False
    return arguments


def vgg(
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    third_kernel: int,
    num_hidden: int,
    activation: str = "relu",
    normalized: bool = True,
) -> ImageClassifier:
    """Thirteen convolutions, five 2×2 max pools, `num_hidden` layers of 512 units, all with batch normalisation
    unless `normalized` is false.

    VGG-C has kernels of `third_kernel` = 1 where a stage has a third convolution, VGG-D and VGG-like 3; VGG-C
    and VGG-D have two hidden layers, VGG-like one: 10,526,538, 15,245,130 and 14,982,474 weights and biases on
    CIFAR-10, as thesis Table 3.2 counts (the normalisations' scales and shifts come on top). From 64 pixels on
    the first stride is 2 (Tiny-ImageNet). Raises ArgumentError for an image smaller than 17×17, and UnknownNameError
    for an activation not in `models.activation.ACTIVATIONS`.

    Source: Simonyan & Zisserman 2015, Table 1; Zagoruyko 2015 (VGG-like); thesis Table 3.6, Table 4.3 (other
    activations) and Figure 4.8 (without normalisation). Departure: normalisation has torch's momentum and epsilon.

    >>> net = vgg((3, 32, 32), 10, third_kernel=3, num_hidden=1)
    >>> sum(p.numel() for name, p in net.named_parameters() if not name.startswith("bn"))
    14982474
    """
    channels, height, width = check_image("vgg", input_shape, smallest_side(5))
    stride = 2 if min(height, width) >= 64 else 1
    # TensorFlow's 'SAME' pools round up, so that 28×28 also comes down to one pixel
    pools = {stage: nn.MaxPool2d(2, ceil_mode=True) for stage in range(1, 6)}
    new_activation = activation_called(activation, "vgg")
    layers = _convolutions(channels, stride, third_kernel, pools, new_activation, normalized)
    layers["flatten"] = nn.Flatten()
    features = 512 * -(-height // (32 * stride)) * -(-width // (32 * stride))
    for i in range(14, 14 + num_hidden):
        layers[f"fc{i}"] = nn.Linear(features, 512)
        if normalized:
            layers[f"bn{i}"] = nn.BatchNorm1d(512)
        layers[f"activation{i}"] = new_activation()
        features = 512
    layers[f"fc{14 + num_hidden}"] = nn.Linear(features, num_classes)
    return FeedForward(layers, input_shape, num_classes)


def vgg16(input_shape: tuple[int, ...], num_classes: int) -> ImageClassifier:
    """Thirteen convolutions with batch normalisation, four 2×2 max pools, an average pool, one linear layer.

    14 prunable tensors; 14,774,436 parameters for the 100 classes of CIFAR-100. The average runs over whatever
    the four pools leave, 2×2 of 32×32. Raises ArgumentError for an image smaller than 16×16.
    Source: Frankle & Carbin 2019 (open_lth); Tanaka et al. 2020. The "VGG16" of thesis chapter 4 is another
    network: its public code builds VGG-C (``vgg-c`` here), and so do the orthogonality scores of Table 4.2 say.

    >>> sum(p.numel() for p in vgg16((3, 32, 32), 100).parameters())
    14774436
    """
    channels, _, _ = check_image("vgg16", input_shape, smallest=16)
    pools = {stage: nn.MaxPool2d(2) for stage in range(1, 5)}
    layers = _convolutions(channels, 1, 3, pools, nn.ReLU, normalized=True)
    layers["average"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["fc14"] = nn.Linear(512, num_classes)
    return FeedForward(layers, input_shape, num_classes)


def _convolutions(
    channels: int,
    stride: int,
    third_kernel: int,
    pools: dict[int, nn.MaxPool2d],
    new_activation: Callable[[], nn.Module],
    normalized: bool,
) -> dict[str, nn.Module]:
    """conv1…conv13 with bn and activation, and after stage n the pool that `pools` has for it."""
    layers: dict[str, nn.Module] = {}
    i = 0
    for stage, (filters, num_convolutions) in enumerate(_STAGES, start=1):
        for position in range(1, num_convolutions + 1):
            i += 1
            kernel = third_kernel if position == 3 else 3
            layers[f"conv{i}"] = nn.Conv2d(channels, filters, kernel, stride, same_padding(kernel, stride))
            if normalized:
                layers[f"bn{i}"] = nn.BatchNorm2d(filters)
            layers[f"activation{i}"] = new_activation()
            channels, stride = filters, 1
        if stage in pools:
            layers[f"pool{stage}"] = pools[stage]
    return layers
