"""The architectures of the published tables, by name.

>>> net = build("lenet-300-100", seed=0)
>>> net.input_shape, net.num_classes
((1, 28, 28), 10)
"""

from collections.abc import Sequence
from functools import partial

from thresher.core.errors import ArgumentError, unknown_name
from thresher.core.seeds import isolated_random_state
from thresher.models.alexnet import alexnet
from thresher.models.architecture import Architecture
from thresher.models.classifier import ImageClassifier
from thresher.models.lenet import lenet_5_caffe, lenet_300_100
from thresher.models.mlp import ACTIVATIONS, mlp, parse_mlp
from thresher.models.resnet import ResNet, parse_resnet
from thresher.models.resnet_8 import ResNet8
from thresher.models.row_recurrent import RowRecurrent
from thresher.models.simple_cnn import simple_cnn
from thresher.models.vgg import vgg, vgg16
from thresher.models.wide_resnet import WideResNet

__all__ = ["MODELS", "Architecture", "ImageClassifier", "build", "lookup"]

_MNIST = (1, 28, 28)
_CIFAR = (3, 32, 32)
_SNIP = "Lee, Ajanthan & Torr 2019; thesis §3.5"
_WRN = "Zagoruyko & Komodakis 2016; thesis §3.5.3"
_HE = "He, Zhang, Ren & Sun 2016a, §4.2, shortcuts as in open_lth"

MODELS: dict[str, Architecture] = {
    "lenet-300-100": Architecture(lenet_300_100, _MNIST, 10, f"LeCun et al. 1998; {_SNIP}.1"),
    "lenet-5-caffe": Architecture(lenet_5_caffe, _MNIST, 10, f"Caffe examples, Jia et al. 2014; {_SNIP}.1"),
    "alexnet-s": Architecture(partial(alexnet, k=1), _CIFAR, 10, f"{_SNIP}.3, Table 3.5"),
    "alexnet-b": Architecture(partial(alexnet, k=2), _CIFAR, 10, f"{_SNIP}.3, Table 3.5"),
    "vgg-c": Architecture(
        partial(vgg, third_kernel=1, num_hidden=2), _CIFAR, 10, f"Simonyan & Zisserman 2015; {_SNIP}.3, Table 3.6"
    ),
    "vgg-d": Architecture(
        partial(vgg, third_kernel=3, num_hidden=2), _CIFAR, 10, f"Simonyan & Zisserman 2015; {_SNIP}.3, Table 3.6"
    ),
    "vgg-like": Architecture(
        partial(vgg, third_kernel=3, num_hidden=1), _CIFAR, 10, f"Zagoruyko 2015; {_SNIP}.3, Table 3.6"
    ),
    "vgg16": Architecture(vgg16, _CIFAR, 10, "Frankle & Carbin 2019 (open_lth); Tanaka et al. 2020"),
    "wrn-16-8": Architecture(partial(WideResNet, depth=16, k=8), _CIFAR, 10, _WRN),
    "wrn-16-10": Architecture(partial(WideResNet, depth=16, k=10), _CIFAR, 10, _WRN),
    "wrn-22-8": Architecture(partial(WideResNet, depth=22, k=8), _CIFAR, 10, _WRN),
    "resnet-8": Architecture(ResNet8, _CIFAR, 10, "Shallue et al. 2019, appendix B; thesis §5.2.1"),
    "resnet-20": Architecture(partial(ResNet, depth=20), _CIFAR, 10, _HE),
    "resnet-32": Architecture(partial(ResNet, depth=32), _CIFAR, 10, _HE),
    "resnet-56": Architecture(partial(ResNet, depth=56), _CIFAR, 10, _HE),
    "resnet-110": Architecture(partial(ResNet, depth=110), _CIFAR, 10, _HE),
    "lstm-s": Architecture(partial(RowRecurrent, cell="lstm", hidden=128), _MNIST, 10, f"{_SNIP}.3"),
    "lstm-b": Architecture(partial(RowRecurrent, cell="lstm", hidden=256), _MNIST, 10, f"{_SNIP}.3"),
    "gru-s": Architecture(partial(RowRecurrent, cell="gru", hidden=128), _MNIST, 10, f"{_SNIP}.3"),
    "gru-b": Architecture(partial(RowRecurrent, cell="gru", hidden=256), _MNIST, 10, f"{_SNIP}.3"),
    "simple-cnn": Architecture(simple_cnn, _MNIST, 10, "Shallue et al. 2019, appendix B; thesis §5.2.1"),
}


def lookup(name: str) -> Architecture:
    """The architecture `name` means: a row of `MODELS`, any 'mlp-K' or 'mlp-K-ACTIVATION' (see `mlp`), or any
    'resnet-DEPTH-K' with K times the filters.

    Raises UnknownNameError, with the near miss, for any other name.

    >>> lookup("vgg-c").input_shape
    (3, 32, 32)
    """
    if name in MODELS:
        return MODELS[name]
    widened = parse_resnet(name)
    if widened is not None:
        depth, k = widened
        return Architecture(partial(ResNet, depth=depth, k=k), _CIFAR, 10, f"{_HE}; widened as in thesis Table 4.6")
    parsed = parse_mlp(name)
    if parsed is None:
        raise unknown_name(
            "model", name, [*MODELS, "resnet-20-2", "mlp-K", *(f"mlp-K-{known}" for known in ACTIVATIONS)]
        )
    num_layers, activation = parsed
    builder = partial(mlp, num_layers=num_layers, activation=activation)
    return Architecture(builder, _MNIST, 10, "Lee, Ajanthan, Gould & Torr 2020; thesis §4.3.1")


def build(
    name: str, *, num_classes: int | None = None, input_shape: Sequence[int] | None = None, seed: int = 0
) -> ImageClassifier:
    """The model called `name`, in training mode on torch's default device, with torch's default initial weights.

    `num_classes` and `input_shape` (channels, height, width) default to those of the published network. The
    weights depend on `seed` only; the global random state is left as it was.
    Raises UnknownNameError for a name that `lookup` does not know, and ArgumentError if a size is not a
    positive whole number or the image is too small for the architecture.

    >>> digits = build("mlp-3-tanh", input_shape=(1, 8, 8))
    >>> digits.fc1.weight.shape
    torch.Size([100, 64])
    """
    architecture = lookup(name)
    shape = architecture.input_shape if input_shape is None else tuple(input_shape)
    classes = architecture.num_classes if num_classes is None else num_classes
    if not shape or not all(_is_size(side) for side in shape):
        raise ArgumentError(
            f"input_shape= is (channels, height, width), whole numbers of at least 1: got {input_shape}"
        )
    if not _is_size(classes):
        raise ArgumentError(f"num_classes= is a whole number of at least 1: got {num_classes!r}")
    with isolated_random_state(seed):
        return architecture.builder(shape, classes)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
