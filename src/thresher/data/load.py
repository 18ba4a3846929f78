"""Data sets by name."""

import os
from pathlib import Path

import torch

from thresher.core.errors import unknown_name
from thresher.data.cifar import CIFAR_10, CIFAR_100
from thresher.data.dataset import Dataset
from thresher.data.digits import DIGITS
from thresher.data.mnist import FASHION_MNIST, IDX, MNIST
from thresher.data.source import Source
from thresher.data.splits import Splits, check_fraction, split
from thresher.data.tiny_imagenet import tiny_imagenet

DATASETS: dict[str, Source] = {
    "mnist": MNIST,
    "fashion-mnist": FASHION_MNIST,
    "cifar-10": CIFAR_10,
    "cifar-100": CIFAR_100,
    "tiny-imagenet": tiny_imagenet(),
    "digits": DIGITS,
    "idx": IDX,
}


def load(
    name: str,
    data_dir: Path | str | None = None,
    *,
    validation: float = 0.1,
    seed: int = 0,
    download: bool = True,
    mirror: str | None = None,
) -> Splits:
    """Train, validation and test examples of the data set called `name`, with the train split's mean and std.

    Args:
        name: a key of `DATASETS`. "digits" comes with the package. "idx" is any data in four IDX files named
            as those of MNIST, of any type and [N, H, W] or [N, C, H, W] (bytes stay bytes, other types become
            float32), with as many classes as the largest label says.
        data_dir: the data folder; by default the one named by the environment variable THRESHER_DATA, or
            ~/.cache/thresher. The files may lie in it or in the folder that is usual for them ("mnist",
            "MNIST/raw", "cifar-10-batches-bin", …), plain, gzipped or in the published archive. MNIST and
            Fashion-MNIST name their files alike: a data folder named for one is not searched for the other,
            and published labels of the other are refused.
        validation: fraction of the train examples set apart, in [0, 1); see `splits.split`.
        seed: which ones.
        download: whether absent files are fetched into data_dir/name, with a bar on standard error.
        mirror: URL of a folder that has the same files as the canonical place; their checksums must agree.

    Raises UnknownNameError for a name that is in no row, ArgumentError for a validation fraction outside [0, 1),
    DataError if files are absent, unreachable, damaged, or hold labels out of range, RunDirectoryError if the
    data folder cannot be written, and MissingExtraError if it holds JPEG images ("tiny-imagenet") and Pillow is not
    installed.

    >>> splits = load("digits")
    >>> splits.train, len(splits.validation), len(splits.test)
    (Dataset(digits/train, 1293 × (1, 8, 8), 10 classes), 144, 360)
    """
    if name not in DATASETS:
        raise unknown_name("data set", name, DATASETS)
    check_fraction(validation)
    source = DATASETS[name]
    (train_inputs, train_labels), (test_inputs, test_labels) = source.read(name, _root(data_dir), download, mirror)
    classes = source.num_classes or 1 + max(int(labels.max(initial=0)) for labels in (train_labels, test_labels))
    train, test = (
        Dataset(f"{name}/{part}", torch.from_numpy(inputs), torch.from_numpy(labels), classes)
        for part, inputs, labels in (("train", train_inputs, train_labels), ("test", test_inputs, test_labels))
    )
    return split(train, test, validation, seed)


def _root(data_dir: Path | str | None) -> Path:
    return Path(data_dir or os.environ.get("THRESHER_DATA") or "~/.cache/thresher").expanduser()
