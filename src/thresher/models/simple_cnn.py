"""Simple-CNN, the small convolutional network of the data-parallelism study."""

import math

from torch import nn

from thresher.models.classifier import ImageClassifier
from thresher.models.feed_forward import FeedForward
from thresher.models.image_shape import check_image


def simple_cnn(input_shape: tuple[int, ...], num_classes: int) -> ImageClassifier:
    """Two padded 5×5 convolutions (32, 64 filters; ReLU, 2×2 max pool each), 1024 ReLU units, the classes.

    3,274,634 parameters on MNIST. Raises ArgumentError for an image smaller than 4×4.
    Source: Shallue et al. 2019, appendix B ("Simple CNN", the base size); thesis §5.2.1. Departure: no dropout,
    as in the thesis.

    >>> sum(p.numel() for p in simple_cnn((1, 28, 28), 10).parameters())
    3274634
    """
    channels, height, width = check_image("simple-cnn", input_shape, smallest=4)
    layers = {
        "conv1": nn.Conv2d(channels, 32, 5, padding=2),
        "relu1": nn.ReLU(),
        "pool1": nn.MaxPool2d(2),
        "conv2": nn.Conv2d(32, 64, 5, padding=2),
        "relu2": nn.ReLU(),
        "pool2": nn.MaxPool2d(2),
        "flatten": nn.Flatten(),
        "fc1": nn.Linear(64 * math.prod((height // 4, width // 4)), 1024),
        "relu3": nn.ReLU(),
        "fc2": nn.Linear(1024, num_classes),
    }
    return FeedForward(layers, input_shape, num_classes)
