"""ResNet-8 without normalisation, the network of the data-parallelism study on CIFAR-10."""

import torch
from torch import Tensor, nn

from thresher.models.classifier import ImageClassifier
from thresher.models.image_shape import check_image, smallest_side
from thresher.models.shortcut import zero_padded


class ResNet8(ImageClassifier):
    """Seven 3×3 convolutions, six of them in three pre-activation residual blocks, and one linear layer.

    16, 32, 64 filters; no batch normalisation, so the convolutions have biases; 75,050 parameters on CIFAR-10.
    Raises ArgumentError for an image smaller than 3×3.

    Source: Shallue et al. 2019, appendix B: He et al. 2016a §4.2 with n = 1, the improved block of He et al.
    2016b, batch normalisation removed; thesis §5.2.1. Reading: seven convolutions leave none for the shortcuts,
    which are He et al.'s option A (every second pixel, new channels zero).

    >>> sum(p.numel() for p in ResNet8((3, 32, 32), 10).parameters())
    75050
    """

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        channels, _, _ = check_image("resnet-8", input_shape, smallest_side(2))
        super().__init__(input_shape, num_classes)
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1)
        self.block1 = _Block(16, 16, stride=1)
        self.block2 = _Block(16, 32, stride=2)
        self.block3 = _Block(32, 64, stride=2)
        self.fc = nn.Linear(64, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [N, num_classes] of images [N, C, H, W]."""
        # He et al. 2016b, §4.1: the first activation comes before the first split into two paths
        hidden = torch.relu(self.conv1(inputs))
        hidden = self.block3(self.block2(self.block1(hidden)))
        logits: Tensor = self.fc(torch.relu(hidden).mean((2, 3)))
        return logits


class _Block(nn.Module):
    """x + conv(relu(conv(relu(x)))), x subsampled by `stride` and filled up with zero channels."""

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, padding=1)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1)
        self.stride = stride
        self.num_new_channels = filters - channels

    def forward(self, inputs: Tensor) -> Tensor:
        residual: Tensor = self.conv2(torch.relu(self.conv1(torch.relu(inputs))))
        return residual + zero_padded(inputs, self.stride, self.num_new_channels)
