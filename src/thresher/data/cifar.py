"""CIFAR-10 and CIFAR-100 with the fine labels, from binary or python batches, unpacked or not."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from thresher.data.cifar_binary import parse_cifar_binary
from thresher.data.cifar_python import parse_cifar_python
from thresher.data.content import Arrays, Content
from thresher.data.download import Remote
from thresher.data.layout import Layout
from thresher.data.source import Source

_URL = "https://www.cs.toronto.edu/~kriz/"
_CITATION = "A. Krizhevsky, Learning multiple layers of features from tiny images (2009)"


def _layout(
    archive: str, inside: str, name: str, train: Sequence[str], test: str, parse: Callable[[Content], Arrays]
) -> Layout:
    def read(contents: Mapping[str, Content]) -> tuple[Arrays, Arrays]:
        batches = [parse(contents[batch]) for batch in train]
        images = np.concatenate([images for images, _ in batches])
        labels = np.concatenate([labels for _, labels in batches])
        return (images, labels), parse(contents[test])

    folders = (inside, f"{name}/{inside}", name, ".")
    return Layout((*train, test), folders, read, archive=archive, inside=inside)


CIFAR_10 = Source(
    citation=_CITATION,
    num_classes=10,
    layouts=(
        _layout(
            "cifar-10-binary.tar.gz",
            "cifar-10-batches-bin",
            "cifar-10",
            [f"data_batch_{k}.bin" for k in range(1, 6)],
            "test_batch.bin",
            partial(parse_cifar_binary, label_bytes=1),
        ),
        _layout(
            "cifar-10-python.tar.gz",
            "cifar-10-batches-py",
            "cifar-10",
            [f"data_batch_{k}" for k in range(1, 6)],
            "test_batch",
            partial(parse_cifar_python, labels_key="labels"),
        ),
    ),
    remote=Remote(_URL, {"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"}),
)

CIFAR_100 = Source(
    citation=_CITATION,
    num_classes=100,
    layouts=(
        _layout(
            "cifar-100-binary.tar.gz",
            "cifar-100-binary",
            "cifar-100",
            ["train.bin"],
            "test.bin",
            partial(parse_cifar_binary, label_bytes=2),
        ),
        _layout(
            "cifar-100-python.tar.gz",
            "cifar-100-python",
            "cifar-100",
            ["train"],
            "test",
            partial(parse_cifar_python, labels_key="fine_labels"),
        ),
    ),
    remote=Remote(_URL, {"cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8"}),
)
