"""Tiny-ImageNet: 64 × 64 JPEG images of 200 classes, from the published archive, unpacked or not."""

import re
from collections.abc import Iterable, Mapping

import numpy as np

from thresher.core.errors import DataError
from thresher.data.content import Arrays, Content
from thresher.data.download import Remote
from thresher.data.jpeg import decode_jpegs
from thresher.data.layout import Layout
from thresher.data.source import Source

_CLASSES = "wnids.txt"
_ANNOTATIONS = "val/val_annotations.txt"
_SIDE = 64
# both become parts of paths, so nothing else may come through
_CLASS = re.compile(r"n\d{8}")
_ANNOTATION = re.compile(r"(val_\d+\.JPEG)\t(n\d{8})(?:\t.*)?")  # the rest is a box


def tiny_imagenet(num_classes: int = 200, num_train: int = 500, num_test: int = 10_000) -> Source:
    """The source of `num_train` images of each of `num_classes` classes for training, and `num_test` for the test.

    The published validation images are the test set, as in the papers that report errors on this data: the labels
    of the published test images are not public. Classes are numbered in the order of their WordNet identifiers, as
    by readers that sort the folders, not in that of wnids.txt. Train examples come class by class in the order of
    the numbers in their names, test examples in that of val_annotations.txt.
    """

    def read(contents: Mapping[str, Content]) -> tuple[Arrays, Arrays]:
        number = {name: label for label, name in enumerate(_classes(contents[_CLASSES], num_classes))}
        tested = _annotations(contents[_ANNOTATIONS], number, num_test)
        train = decode_jpegs([contents[name] for name in _train_images(number, num_train)], _SIDE, _SIDE)
        test = decode_jpegs([contents[name] for name in tested], _SIDE, _SIDE)
        labels = np.repeat(np.arange(num_classes, dtype=np.int64), num_train)
        return (train, labels), (test, np.array([number[name] for name in tested.values()], np.int64))

    def images(contents: Mapping[str, Content]) -> list[str]:
        classes = _classes(contents[_CLASSES], num_classes)
        return [*_train_images(classes, num_train), *_annotations(contents[_ANNOTATIONS], classes, num_test)]

    inside = "tiny-imagenet-200"
    return Source(
        citation="Y. Le and X. Yang, Tiny ImageNet Visual Recognition Challenge, Stanford CS 231N (2015)",
        num_classes=num_classes,
        layouts=(
            Layout(
                names=(_CLASSES, _ANNOTATIONS),
                folders=(inside, f"tiny-imagenet/{inside}", "tiny-imagenet", "."),
                read=read,
                archive=f"{inside}.zip",
                inside=inside,
                further=images,
            ),
        ),
        remote=Remote(
            "http://cs231n.stanford.edu/",
            # no checksum is published there: the one that several public readers of the data hold
            {f"{inside}.zip": "90528d7ca1a48142e341f4ef8d21d0de"},
        ),
    )


def _classes(content: Content, expected: int) -> list[str]:
    """The identifiers of the classes, sorted."""
    names = _lines(content)
    for number, name in enumerate(names, 1):
        if not _CLASS.fullmatch(name):
            raise DataError(f"{content.origin}, line {number}: {name[:80]!r} is no class such as n01443537")
    if len(names) != expected or len(set(names)) != expected:
        raise DataError(
            f"{content.origin} names {len(names)} classes, {len(set(names))} different ones; expected {expected}"
        )
    return sorted(names)


def _train_images(classes: Iterable[str], count: int) -> list[str]:
    return [f"train/{name}/images/{name}_{k}.JPEG" for name in classes for k in range(count)]


def _annotations(content: Content, classes: Iterable[str], expected: int) -> dict[str, str]:
    """The class of each test image by the name of its file, in the order of the lines."""
    known = set(classes)
    tested: dict[str, str] = {}
    lines = _lines(content)
    for number, line in enumerate(lines, 1):
        found = _ANNOTATION.fullmatch(line)
        if found is None or found[2] not in known:
            raise DataError(
                f"{content.origin}, line {number}: {line[:80]!r} does not begin with the name of an image, a tab, and "
                f"a class that {_CLASSES} names"
            )
        tested[f"val/images/{found[1]}"] = found[2]
    if len(lines) != expected or len(tested) != expected:
        raise DataError(
            f"{content.origin} has {len(lines)} lines, for {len(tested)} different images; expected {expected}"
        )
    return tested


def _lines(content: Content) -> list[str]:
    return content.data.decode("ascii", "replace").rstrip().splitlines()
