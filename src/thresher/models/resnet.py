"""The CIFAR ResNets of depth 6n+2."""

import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from thresher.core.errors import ArgumentError
from thresher.models.activation import activation_called
from thresher.models.classifier import ImageClassifier
from thresher.models.image_shape import check_image, smallest_side
from thresher.models.shortcut import zero_padded

_FILTERS = (16, 32, 64)
_PADDED = "-padded"


def parse_resnet(name: str) -> dict[str, Any] | None:
    """The arguments of `ResNet` that a name 'resnet-DEPTH[-K][-ACTIVATION][-padded]' writes, or None if it is none.

    >>> parse_resnet("resnet-20-2"), parse_resnet("resnet-32-tanh-padded")
    ({'depth': 20, 'k': 2}, {'depth': 32, 'activation': 'tanh', 'padded': True})
    """
    found = re.fullmatch(r"resnet-(\d+)(?:-(\d+))?(?:-([a-z-]+))?", name.removesuffix(_PADDED))
    if found is None:
        return None
    arguments: dict[str, Any] = {"depth": int(found[1])}
    if found[2]:
        arguments["k"] = int(found[2])
    if found[3]:
        arguments["activation"] = found[3]
    if name.endswith(_PADDED):
        arguments["padded"] = True
    return arguments


class ResNet(ImageClassifier):
    """A 3×3 convolution, three stages of n residual blocks (16, 32, 64 filters), a global average, one layer.

    `depth` = 6n+2 counts the convolutions on the main path and the linear layer, `k` multiplies the number of filters
    (resnet-20-2 has twice as many). 272,474 parameters at depth 20, 1,730,714 at depth 110 (CIFAR-10). Where a stage
    begins the shortcut is a 1×1 convolution with batch normalisation (option B of He et al., as in open_lth) or, if
    `padded`, the input with channels of zeros (option A, their CIFAR networks: 269,722 parameters at depth 20).
    Raises ArgumentError for another depth, a k below 1, or an image smaller than 3×3, and UnknownNameError for an
    activation not in `models.activation.ACTIVATIONS`.

    Source: He, Zhang, Ren & Sun 2016a, §4.2; thesis Tables 4.2 and 4.3 (padded, other activations) and 4.6 (k).
    Departure from the code of thesis chapter 4, which has biases in convolutions and averages 2×2 pixels on the
    padded shortcut: as He et al., neither.

    >>> sum(p.numel() for p in ResNet((3, 32, 32), 10, depth=20).parameters())
    272474
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        *,
        depth: int,
        k: int = 1,
        activation: str = "relu",
        padded: bool = False,
    ) -> None:
        num_blocks, remainder = divmod(depth - 2, 6)
        if num_blocks < 1 or remainder:
            raise ArgumentError(f"the depth of a CIFAR ResNet is 6n+2 with n of at least 1: got {depth}")
        if k < 1:
            raise ArgumentError(f"k multiplies the number of filters and is at least 1: got {k}")
        new_activation = activation_called(activation, f"resnet-{depth}")
        shortcut = _ZeroPadding if padded else _projection

        def stage(channels: int, filters: int, stride: int) -> nn.Sequential:
            first = _Block(channels, filters, stride, new_activation, shortcut)
            rest = (_Block(filters, filters, 1, new_activation, shortcut) for _ in range(num_blocks - 1))
            return nn.Sequential(first, *rest)

        narrow, middle, wide = (k * filters for filters in _FILTERS)
        channels, _, _ = check_image("resnet", input_shape, smallest_side(2))
        super().__init__(input_shape, num_classes)
        self.conv1 = nn.Conv2d(channels, narrow, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(narrow)
        self.activation = new_activation()
        self.stage1 = stage(narrow, narrow, stride=1)
        self.stage2 = stage(narrow, middle, stride=2)
        self.stage3 = stage(middle, wide, stride=2)
        self.fc = nn.Linear(wide, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [N, num_classes] of images [N, C, H, W]."""
        hidden = self.activation(self.bn1(self.conv1(inputs)))
        hidden = self.stage3(self.stage2(self.stage1(hidden)))
        logits: Tensor = self.fc(hidden.mean((2, 3)))
        return logits


class _Block(nn.Module):
    """φ(shortcut(x) + bn(conv(φ(bn(conv(x)))))) with the activation φ."""

    def __init__(
        self,
        channels: int,
        filters: int,
        stride: int,
        new_activation: Callable[[], nn.Module],
        shortcut: Callable[[int, int, int], nn.Module],
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.activation = new_activation()
        self.shortcut = nn.Identity() if channels == filters else shortcut(channels, filters, stride)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.activation(self.bn1(self.conv1(inputs)))
        output: Tensor = self.activation(self.bn2(self.conv2(hidden)) + self.shortcut(inputs))
        return output


class _ZeroPadding(nn.Module):
    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.num_new_channels = filters - channels

    def forward(self, inputs: Tensor) -> Tensor:
        return zero_padded(inputs, self.stride, self.num_new_channels)


def _projection(channels: int, filters: int, stride: int) -> nn.Module:
    convolution = nn.Conv2d(channels, filters, 1, stride, bias=False)
    return nn.Sequential(OrderedDict(conv=convolution, bn=nn.BatchNorm2d(filters)))
