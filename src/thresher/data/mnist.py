"""MNIST, Fashion-MNIST and whatever else lies in four IDX files of those names."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from thresher.core.errors import DataError
from thresher.data.content import Arrays, Content
from thresher.data.download import Remote
from thresher.data.idx import parse_idx
from thresher.data.layout import Layout
from thresher.data.source import Source

_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

# The first published train labels. Both data sets come in files of the same names and shapes, and nothing else
# tells them apart when the files lie in a folder that is not named for either.
_MNIST_LABELS = (5, 0, 4, 1, 9, 2, 1, 3, 1, 4)
_FASHION_LABELS = (9, 0, 0, 3, 0, 2, 7, 2, 5, 5)


def _read(contents: Mapping[str, Content], other: tuple[int, ...] = (), other_name: str = "") -> tuple[Arrays, Arrays]:
    train = _pair(contents[_NAMES[0]], contents[_NAMES[1]])
    if other and tuple(train[1][: len(other)].tolist()) == other:
        origin = contents[_NAMES[1]].origin
        raise DataError(f"{origin} holds the labels of {other_name}: name the folder of the data set you asked for")
    return train, _pair(contents[_NAMES[2]], contents[_NAMES[3]])


def _pair(images: Content, labels: Content) -> Arrays:
    inputs, targets = parse_idx(images), parse_idx(labels)
    if inputs.ndim not in (3, 4):
        raise DataError(f"{images.origin} has shape {inputs.shape}; expected [N, H, W] or [N, C, H, W]")
    if targets.ndim != 1 or not np.issubdtype(targets.dtype, np.integer):
        raise DataError(f"{labels.origin} has {targets.dtype} of shape {targets.shape}; expected integers [N]")
    if len(inputs) != len(targets):
        raise DataError(f"{images.origin} holds {len(inputs)} images but {labels.origin} {len(targets)} labels")
    if inputs.dtype != np.uint8:
        inputs = inputs.astype(np.float32)
    return inputs[:, None] if inputs.ndim == 3 else inputs, targets.astype(np.int64)


MNIST = Source(
    citation="Y. LeCun, C. Cortes and C. Burges, The MNIST database of handwritten digits (1998)",
    num_classes=10,
    layouts=(
        Layout(
            names=_NAMES,
            folders=("mnist", "MNIST/raw", "."),
            read=partial(_read, other=_FASHION_LABELS, other_name="Fashion-MNIST"),
            others=("fashionmnist", "fashion", "fmnist"),
        ),
    ),
    remote=Remote(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
    ),
)

FASHION_MNIST = Source(
    citation="H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST, arXiv:1708.07747 (2017)",
    num_classes=10,
    layouts=(
        Layout(
            names=_NAMES,
            folders=("fashion-mnist", "FashionMNIST/raw", "."),
            read=partial(_read, other=_MNIST_LABELS, other_name="MNIST"),
            others=("mnist",),
        ),
    ),
    remote=Remote(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
)

IDX = Source(
    citation="your own files",
    num_classes=None,
    layouts=(Layout(names=_NAMES, folders=("idx", "."), read=_read),),
)
