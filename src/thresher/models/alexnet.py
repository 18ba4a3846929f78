"""AlexNet-s and AlexNet-b: AlexNet's kernels with strides for pooling, at the size of CIFAR-10."""

from torch import nn

from thresher.models.classifier import ImageClassifier
from thresher.models.feed_forward import FeedForward
from thresher.models.image_shape import check_image, conv_side, same_padding, smallest_side

_CONVOLUTIONS = ((11, 96), (5, 256), (3, 384), (3, 384), (3, 256))  # kernel, filters


def alexnet(input_shape: tuple[int, ...], num_classes: int, *, k: int) -> ImageClassifier:
    """Five convolutions of stride 2 and two hidden layers of 1024·k units, all with batch normalisation.

    k = 1 is AlexNet-s, k = 2 is AlexNet-b: 5,070,218 and 8,490,378 weights and biases on CIFAR-10, as
    thesis Table 3.2 counts (the normalisations' scales and shifts come on top). From 64 pixels on the first
    stride is 4 (Tiny-ImageNet). Raises ArgumentError for an image smaller than 17×17.

    Source: Lee, Ajanthan & Torr 2019; thesis Table 3.5. Readings: the hidden sizes are Table 3.5's 1024·k, which
    gives the parameter counts of Table 3.2; §3.5.3 says 512 and 1024, which does not. Departures: the padding is
    the mirror image of TensorFlow's 'SAME' (see `same_padding`); normalisation has torch's momentum and epsilon.

    >>> net = alexnet((3, 32, 32), 10, k=1)
    >>> sum(p.numel() for name, p in net.named_parameters() if not name.startswith("bn"))
    5070218
    """
    channels, height, width = check_image("alexnet", input_shape, smallest_side(5))
    layers: dict[str, nn.Module] = {}
    stride = 4 if min(height, width) >= 64 else 2
    for i, (kernel, filters) in enumerate(_CONVOLUTIONS, start=1):
        layers[f"conv{i}"] = nn.Conv2d(channels, filters, kernel, stride, same_padding(kernel, stride))
        layers[f"bn{i}"] = nn.BatchNorm2d(filters)
        layers[f"relu{i}"] = nn.ReLU()
        height, width = (conv_side(side, kernel, stride) for side in (height, width))
        channels, stride = filters, 2
    layers["flatten"] = nn.Flatten()
    features, hidden = channels * height * width, 1024 * k
    for i in (6, 7):
        layers[f"fc{i}"] = nn.Linear(features, hidden)
        layers[f"bn{i}"] = nn.BatchNorm1d(hidden)
        layers[f"relu{i}"] = nn.ReLU()
        features = hidden
    layers["fc8"] = nn.Linear(hidden, num_classes)
    return FeedForward(layers, input_shape, num_classes)
