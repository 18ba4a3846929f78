"""Splits from data sets that PyTorch and torchvision users already have."""

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from thresher.core.errors import DataError
from thresher.core.seeds import isolated_random_state
from thresher.data.dataset import Dataset
from thresher.data.splits import Splits, check_fraction, split


class MapStyle(Protocol):
    """What has a length and gives an (image, label) pair for each integer below it."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


def from_torch(
    train: MapStyle,
    test: MapStyle,
    num_classes: int | None = None,
    name: str = "custom",
    validation: float = 0.1,
    seed: int = 0,
) -> Splits:
    """Splits of two map-style data sets of (image, label) pairs, read once into memory.

    An image is a tensor [C, H, W] or [H, W] (or any other shape from [F] on, if floating), or a PIL image or
    array [H, W] or [H, W, C]; bytes stay bytes and floats become float32. A label is an integer. `num_classes`
    is by default one more than the largest label. Transforms run once, under the random state that `seed`
    gives: leave random augmentation and normalisation out of them, since `Batches` and `Stream` do both.
    `prune` needs none of this: it takes any DataLoader, or other iterable of batches, directly.

    Raises DataError, with the index, for an item that is no such pair or whose shape or type differs from the
    first one's; ArgumentError as `split` does. Cost: one Python call per example, and the examples in memory.

    >>> from torch.utils.data import TensorDataset
    >>> pairs = TensorDataset(torch.zeros(10, 1, 4, 4, dtype=torch.uint8), torch.arange(10) % 3)
    >>> from_torch(pairs, pairs, name="toy").train
    Dataset(toy/train, 9 × (1, 4, 4), 3 classes)
    """
    check_fraction(validation)
    with isolated_random_state(seed):
        train_inputs, train_labels = _materialise(train, f"{name}/train")
        test_inputs, test_labels = _materialise(test, f"{name}/test")
    if num_classes is None:
        num_classes = 1 + max(int(train_labels.max()), int(test_labels.max()))
    return split(
        Dataset(f"{name}/train", train_inputs, train_labels, num_classes),
        Dataset(f"{name}/test", test_inputs, test_labels, num_classes),
        validation,
        seed,
    )


def _materialise(data: MapStyle, name: str) -> tuple[Tensor, Tensor]:
    try:
        n = len(data)
    except TypeError as error:
        raise DataError(f"{name} has no length: pass a map-style data set, not an iterable one") from error
    if n == 0:
        raise DataError(f"{name} holds no examples")
    labels = torch.empty(n, dtype=torch.int64)
    inputs = torch.empty(0)
    for index in range(n):
        item = data[index]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise DataError(f"{name}[{index}] is a {type(item).__name__}; expected an (image, label) pair")
        image, labels[index] = _image(item[0], f"{name}[{index}]"), _label(item[1], f"{name}[{index}]")
        if index == 0:
            inputs = torch.empty((n, *image.shape), dtype=image.dtype)
        if image.shape != inputs.shape[1:] or image.dtype is not inputs.dtype:
            raise DataError(
                f"{name}[{index}] has {image.dtype} of shape {tuple(image.shape)}; the first has {inputs.dtype} of "
                f"shape {tuple(inputs.shape[1:])}"
            )
        inputs[index] = image
    return inputs, labels


def _image(value: object, where: str) -> Tensor:
    if isinstance(value, Tensor):
        image = value.detach().cpu()
    else:
        array = np.asarray(value)
        if array.dtype.kind not in "uf" or array.ndim not in (2, 3):
            raise DataError(
                f"{where} holds a {type(value).__name__} that reads as {array.dtype} of shape {array.shape}; "
                "expected a tensor, or a grey or RGB image [H, W] or [H, W, C] of bytes or floats"
            )
        image = torch.from_numpy(np.array(array if array.ndim == 2 else np.moveaxis(array, 2, 0)))
    if image.dtype is not torch.uint8 and not image.is_floating_point():
        raise DataError(f"{where} holds {image.dtype}; expected uint8 or floats")
    if image.dim() == 0:
        raise DataError(f"{where} holds a single number; expected an image or a vector")
    image = image[None] if image.dim() == 2 else image
    return image if image.dtype is torch.uint8 else image.float()


def _label(value: object, where: str) -> int:
    if isinstance(value, Tensor | np.generic | np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int):
        raise DataError(f"{where} has the label {value!r}; expected an integer")
    return value
