"""The CIFAR ResNets of depth 6n+2."""

import re
from collections import OrderedDict

import torch
from torch import Tensor, nn

from thresher.core.errors import ArgumentError
from thresher.models.classifier import ImageClassifier
from thresher.models.image_shape import check_image, smallest_side

_FILTERS = (16, 32, 64)


def parse_resnet(name: str) -> tuple[int, int] | None:
    """Depth and k of a name 'resnet-DEPTH-K', or None if it is none.

    >>> parse_resnet("resnet-20-2"), parse_resnet("resnet-20")
    ((20, 2), None)
    """
    found = re.fullmatch(r"resnet-(\d+)-(\d+)", name)
    return None if found is None else (int(found[1]), int(found[2]))


class ResNet(ImageClassifier):
    """A 3×3 convolution, three stages of n residual blocks (16, 32, 64 filters), a global average, one layer.

    `depth` = 6n+2 counts the convolutions on the main path and the linear layer, `k` multiplies the number of filters
    (resnet-20-2 has twice as many). 272,474 parameters at depth 20, 1,730,714 at depth 110 (CIFAR-10).
    Raises ArgumentError for another depth, a k below 1, or an image smaller than 3×3.

    Source: He, Zhang, Ren & Sun 2016a, §4.2. Reading: where a stage begins the shortcut is a 1×1 convolution
    with batch normalisation (their option B), as in open_lth; their CIFAR networks and the code of thesis
    chapter 4 pad the shortcut with zeros (option A; there ResNet-20 has biases too: the 269k of Table 4.6).

    >>> sum(p.numel() for p in ResNet((3, 32, 32), 10, depth=20).parameters())
    272474
    """

    def __init__(self, input_shape: tuple[int, ...], num_classes: int, *, depth: int, k: int = 1) -> None:
        num_blocks, remainder = divmod(depth - 2, 6)
        if num_blocks < 1 or remainder:
            raise ArgumentError(f"the depth of a CIFAR ResNet is 6n+2 with n of at least 1: got {depth}")
        if k < 1:
            raise ArgumentError(f"k multiplies the number of filters and is at least 1: got {k}")
        narrow, middle, wide = (k * filters for filters in _FILTERS)
        channels, _, _ = check_image("resnet", input_shape, smallest_side(2))
        super().__init__(input_shape, num_classes)
        self.conv1 = nn.Conv2d(channels, narrow, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(narrow)
        self.stage1 = _stage(narrow, narrow, num_blocks, stride=1)
        self.stage2 = _stage(narrow, middle, num_blocks, stride=2)
        self.stage3 = _stage(middle, wide, num_blocks, stride=2)
        self.fc = nn.Linear(wide, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [N, num_classes] of images [N, C, H, W]."""
        hidden = torch.relu(self.bn1(self.conv1(inputs)))
        hidden = self.stage3(self.stage2(self.stage1(hidden)))
        logits: Tensor = self.fc(hidden.mean((2, 3)))
        return logits


class _Block(nn.Module):
    """relu(shortcut(x) + bn(conv(relu(bn(conv(x))))))."""

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.shortcut = nn.Identity() if channels == filters else _projection(channels, filters, stride)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.relu(self.bn1(self.conv1(inputs)))
        return torch.relu(self.bn2(self.conv2(hidden)) + self.shortcut(inputs))


def _projection(channels: int, filters: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels, filters, 1, stride, bias=False)
    return nn.Sequential(OrderedDict(conv=convolution, bn=nn.BatchNorm2d(filters)))


def _stage(channels: int, filters: int, num_blocks: int, stride: int) -> nn.Sequential:
    first = _Block(channels, filters, stride)
    return nn.Sequential(first, *(_Block(filters, filters, 1) for _ in range(num_blocks - 1)))
