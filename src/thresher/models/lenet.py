"""LeNet-300-100 and LeNet-5-Caffe, the two networks of SNIP's Table 1."""

import math

from torch import nn

from thresher.models.classifier import ImageClassifier
from thresher.models.feed_forward import FeedForward
from thresher.models.image_shape import check_image


def lenet_300_100(input_shape: tuple[int, ...], num_classes: int) -> ImageClassifier:
    """Three fully connected layers, 300 and 100 hidden ReLU units; 266,610 parameters on MNIST.

    The input is flattened, so any `input_shape` will do.
    Source: LeCun, Bottou, Bengio & Haffner 1998, §III.C; thesis §3.5.1 (267k). Departure: ReLU for the original
    scaled tanh, as in the pruning literature.

    >>> sum(p.numel() for p in lenet_300_100((1, 28, 28), 10).parameters())
    266610
    """
    layers = {
        "flatten": nn.Flatten(),
        "fc1": nn.Linear(math.prod(input_shape), 300),
        "relu1": nn.ReLU(),
        "fc2": nn.Linear(300, 100),
        "relu2": nn.ReLU(),
        "fc3": nn.Linear(100, num_classes),
    }
    return FeedForward(layers, input_shape, num_classes)


def lenet_5_caffe(input_shape: tuple[int, ...], num_classes: int) -> ImageClassifier:
    """Two unpadded 5×5 convolutions, each with a 2×2 max pool, then 500 ReLU units; 431,080 parameters on MNIST.

    As in Caffe's example network no nonlinearity follows the convolutions but the pooling itself.
    Raises ArgumentError for an image smaller than 16×16. Source: the LeNet of the Caffe examples (Jia et al.
    2014); thesis §3.5.1 (431k).

    >>> sum(p.numel() for p in lenet_5_caffe((1, 28, 28), 10).parameters())
    431080
    """
    channels, height, width = check_image("lenet-5-caffe", input_shape, smallest=16)
    pooled = [((side - 4) // 2 - 4) // 2 for side in (height, width)]
    layers = {
        "conv1": nn.Conv2d(channels, 20, 5),
        "pool1": nn.MaxPool2d(2),
        "conv2": nn.Conv2d(20, 50, 5),
        "pool2": nn.MaxPool2d(2),
        "flatten": nn.Flatten(),
        "fc1": nn.Linear(50 * math.prod(pooled), 500),
        "relu1": nn.ReLU(),
        "fc2": nn.Linear(500, num_classes),
    }
    return FeedForward(layers, input_shape, num_classes)
