"""The architectures of the published tables, by name.

>>> net = build("lenet-300-100", seed=0)
>>> net.input_shape, net.num_classes
((1, 28, 28), 10)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from thresher.core.errors import ArgumentError, unknown_name
from thresher.core.seeds import isolated_random_state
from thresher.models.activation import ACTIVATIONS
from thresher.models.alexnet import alexnet
from thresher.models.architecture import Architecture
from thresher.models.classifier import ImageClassifier
from thresher.models.lenet import lenet_5_caffe, lenet_300_100
from thresher.models.mlp import mlp, parse_mlp
from thresher.models.resnet import ResNet, parse_resnet
from thresher.models.resnet_8 import ResNet8
from thresher.models.row_recurrent import RowRecurrent
from thresher.models.simple_cnn import simple_cnn
from thresher.models.vgg import parse_vgg, vgg, vgg16
from thresher.models.wide_resnet import WideResNet, parse_wide_resnet

__all__ = ["MODELS", "Architecture", "ImageClassifier", "build", "lookup"]

_MNIST = (1, 28, 28)
_CIFAR = (3, 32, 32)
_SNIP = "Lee, Ajanthan & Torr 2019; thesis §3.5"


@dataclass(frozen=True)
class _Family:
    """Networks whose names say what they are: `parse` gives the arguments that `builder` takes, or None."""

    parse: Callable[[str], dict[str, Any] | None]
    builder: Callable[..., ImageClassifier]
    input_shape: tuple[int, ...]
    source: str
    example: str


_FAMILIES = (
    _Family(parse_mlp, mlp, _MNIST, "Lee, Ajanthan, Gould & Torr 2020; thesis §4.3.1", "mlp-K"),
    _Family(parse_resnet, ResNet, _CIFAR, "He, Zhang, Ren & Sun 2016a, §4.2", "resnet-20-2"),
    _Family(parse_wide_resnet, WideResNet, _CIFAR, "Zagoruyko & Komodakis 2016; thesis §3.5.3", "wrn-16-6"),
    _Family(parse_vgg, vgg, _CIFAR, f"Simonyan & Zisserman 2015; {_SNIP}.3, Table 3.6", "vgg-c-no-norm"),
)


def _of_a_family(name: str) -> Architecture | None:
    for family in _FAMILIES:
        arguments = family.parse(name)
        if arguments is not None:
            return Architecture(partial(family.builder, **arguments), family.input_shape, 10, family.source)
    return None


def _named(*names: str) -> dict[str, Architecture]:
    return {name: row for name in names if (row := _of_a_family(name))}


MODELS: dict[str, Architecture] = {
    "lenet-300-100": Architecture(lenet_300_100, _MNIST, 10, f"LeCun et al. 1998; {_SNIP}.1"),
    "lenet-5-caffe": Architecture(lenet_5_caffe, _MNIST, 10, f"Caffe examples, Jia et al. 2014; {_SNIP}.1"),
    "alexnet-s": Architecture(partial(alexnet, k=1), _CIFAR, 10, f"{_SNIP}.3, Table 3.5"),
    "alexnet-b": Architecture(partial(alexnet, k=2), _CIFAR, 10, f"{_SNIP}.3, Table 3.5"),
    **_named("vgg-c", "vgg-d", "vgg-like"),
    "vgg16": Architecture(vgg16, _CIFAR, 10, "Frankle & Carbin 2019 (open_lth); Tanaka et al. 2020"),
    **_named("wrn-16-8", "wrn-16-10", "wrn-22-8"),
    "resnet-8": Architecture(ResNet8, _CIFAR, 10, "Shallue et al. 2019, appendix B; thesis §5.2.1"),
    **_named("resnet-20", "resnet-32", "resnet-56", "resnet-110"),
    "lstm-s": Architecture(partial(RowRecurrent, cell="lstm", hidden=128), _MNIST, 10, f"{_SNIP}.3"),
    "lstm-b": Architecture(partial(RowRecurrent, cell="lstm", hidden=256), _MNIST, 10, f"{_SNIP}.3"),
    "gru-s": Architecture(partial(RowRecurrent, cell="gru", hidden=128), _MNIST, 10, f"{_SNIP}.3"),
    "gru-b": Architecture(partial(RowRecurrent, cell="gru", hidden=256), _MNIST, 10, f"{_SNIP}.3"),
    "simple-cnn": Architecture(simple_cnn, _MNIST, 10, "Shallue et al. 2019, appendix B; thesis §5.2.1"),
}


def lookup(name: str) -> Architecture:
    """The architecture `name` means: a row of `MODELS`, or a name that says what the network is.

    'mlp-K[-ACTIVATION]' (`mlp`), 'resnet-DEPTH[-K][-ACTIVATION][-padded]' (`resnet.ResNet`), 'wrn-DEPTH-K'
    (`wide_resnet.WideResNet`) and 'vgg-c[-ACTIVATION][-no-norm]', also with d and like for c (`vgg.vgg`).
    Raises UnknownNameError, with the near miss, for any other name; what is no network of its family, such as
    'resnet-21', is refused when it is built.

    >>> lookup("vgg-c").input_shape, lookup("resnet-32-tanh-padded").input_shape
    ((3, 32, 32), (3, 32, 32))
    """
    architecture = MODELS.get(name) or _of_a_family(name)
    if architecture is None:
        examples = [family.example for family in _FAMILIES]
        raise unknown_name("model", name, [*MODELS, *examples, *(f"mlp-K-{known}" for known in ACTIVATIONS)])
    return architecture


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
