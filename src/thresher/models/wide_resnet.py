"""Wide residual networks: WRN-depth-k."""

import re
from typing import Any

import torch
from torch import Tensor, nn

from thresher.core.errors import ArgumentError
from thresher.models.classifier import ImageClassifier
from thresher.models.image_shape import check_image, smallest_side


def parse_wide_resnet(name: str) -> dict[str, Any] | None:
    """The arguments of `WideResNet` that a name 'wrn-DEPTH-K' writes, or None if it is none.

    >>> parse_wide_resnet("wrn-28-10"), parse_wide_resnet("wrn-28")
    ({'depth': 28, 'k': 10}, None)
    """
    found = re.fullmatch(r"wrn-(\d+)-(\d+)", name)
    return None if found is None else {"depth": int(found[1]), "k": int(found[2])}


class WideResNet(ImageClassifier):
    """A 3×3 convolution, three stages of n pre-activation blocks (16k, 32k, 64k filters), an average, one layer.

    `depth` = 6n+4 counts every convolution, those of the shortcuts included; `k` is the widening factor. From 64
    pixels on the first stride is 2 (Tiny-ImageNet).
    Raises ArgumentError for another depth, k below 1, or an image smaller than 3×3.

    Source: Zagoruyko & Komodakis 2016, Table 1, without dropout; thesis Table 4.2 (WRN16, by its authors' code k = 6,
    and its stride). WRN-16-8, WRN-16-10 and WRN-22-8 have
    10,961,370, 17,116,634 and 17,158,106 parameters on CIFAR-10, normalisation included. Thesis Table 3.2 (17.1m,
    17.2m) fits that, and fits biases in the convolutions without normalisation; its 10.0m for the first is a
    misprint, since 548k kept at 95 % is 5 % of 10.96m.

    >>> with torch.device("meta"):
    ...     net = WideResNet((3, 32, 32), 10, depth=16, k=8)
    >>> sum(p.numel() for p in net.parameters())
    10961370
    """

    def __init__(self, input_shape: tuple[int, ...], num_classes: int, *, depth: int, k: int) -> None:
        num_blocks, remainder = divmod(depth - 4, 6)
        if num_blocks < 1 or remainder or k < 1:
            raise ArgumentError(f"a WRN-depth-k has depth 6n+4, n and k of at least 1: got WRN-{depth}-{k}")
        channels, height, width = check_image("wrn", input_shape, smallest_side(2))
        stride = 2 if min(height, width) >= 64 else 1
        super().__init__(input_shape, num_classes)
        self.conv1 = nn.Conv2d(channels, 16, 3, stride, padding=1, bias=False)
        self.stage1 = _stage(16, 16 * k, num_blocks, stride=1)
        self.stage2 = _stage(16 * k, 32 * k, num_blocks, stride=2)
        self.stage3 = _stage(32 * k, 64 * k, num_blocks, stride=2)
        self.bn = nn.BatchNorm2d(64 * k)
        self.fc = nn.Linear(64 * k, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [N, num_classes] of images [N, C, H, W]."""
        hidden = self.stage3(self.stage2(self.stage1(self.conv1(inputs))))
        logits: Tensor = self.fc(torch.relu(self.bn(hidden)).mean((2, 3)))
        return logits


class _Block(nn.Module):
    """shortcut + conv(relu(bn(conv(a)))) with a = relu(bn(x)); the shortcut is x, or a 1×1 convolution of a."""

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.shortcut: nn.Module | None = None
        if channels != filters:
            self.shortcut = nn.Conv2d(channels, filters, 1, stride, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        activated = torch.relu(self.bn1(inputs))
        residual: Tensor = self.conv2(torch.relu(self.bn2(self.conv1(activated))))
        shortcut: Tensor = inputs if self.shortcut is None else self.shortcut(activated)
        return residual + shortcut


def _stage(channels: int, filters: int, num_blocks: int, stride: int) -> nn.Sequential:
    first = _Block(channels, filters, stride)
    return nn.Sequential(first, *(_Block(filters, filters, 1) for _ in range(num_blocks - 1)))
