"""Train, validation and test examples, with the statistics of the train split."""

import dataclasses
import math
from dataclasses import dataclass

import torch

from thresher.core.errors import ArgumentError, DataError
from thresher.core.seeds import generator
from thresher.data.dataset import Dataset
from thresher.data.normalization import channel_moments


@dataclass(frozen=True, eq=False)
class Splits:
    """Three data sets of one kind; `mean` and `std` per channel are those of `train` alone.

    For uint8 inputs the statistics are of inputs / 255. `validation` is None if none was spared.
    Raises DataError if the data sets differ in input shape or number of classes.
    """

    train: Dataset
    validation: Dataset | None
    test: Dataset
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        for other in (self.validation, self.test):
            if other is not None and (other.input_shape, other.num_classes) != (self.input_shape, self.num_classes):
                raise DataError(
                    f"{self.train!r} and {other!r} differ in shape or classes: they are no splits of one data set"
                )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example, (C, H, W) for images."""
        return self.train.input_shape

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.train.num_classes


def split(train: Dataset, test: Dataset, validation: float = 0.1, seed: int = 0) -> Splits:
    """Splits with round(validation · N) of the N examples of `train` set apart, drawn by `seed`.

    Both parts stay in the published order. `validation` is a fraction in [0, 1); 0 sets none apart.
    Raises ArgumentError for a fraction outside, or one that leaves either part empty, and DataError if `train`
    is empty. The fraction 0.1 is that of Lee et al. (2019), section 5; which examples they drew is not published.

    >>> toy = Dataset("toy/train", torch.arange(20, dtype=torch.uint8).reshape(10, 2), torch.arange(10) % 2, 2)
    >>> parts = split(toy, toy, validation=0.3)
    >>> len(parts.train), sorted([*parts.train.indices.tolist(), *parts.validation.indices.tolist()])
    (7, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    check_fraction(validation)
    count = round(validation * len(train))
    if len(train) == 0:
        raise DataError(f"{train.name} holds no examples")
    if validation > 0 and not 0 < count < len(train):
        raise ArgumentError(
            f"validation={validation} of {len(train)} examples is {count}, which leaves a part empty: "
            "pass validation=0 or another fraction"
        )
    held_out = None
    if count:
        order = torch.randperm(len(train), generator=generator(seed, "validation-split"))
        held_out, train = train.subset(order[:count].sort().values), train.subset(order[count:].sort().values)
    mean, std = channel_moments(train.inputs)
    return Splits(train, held_out, test, mean, std)


def with_shuffled_labels(splits: Splits, seed: int) -> Splits:
    """The same splits with the labels of `train` permuted by `seed`: nothing is left in them to learn but by heart.

    Validation and test keep their labels. Source: Zhang, Bengio, Hardt, Recht, Vinyals (2017), section 2.
    """
    train = splits.train
    order = torch.randperm(len(train), generator=generator(seed, "label-shuffle")).to(train.targets.device)
    return dataclasses.replace(splits, train=dataclasses.replace(train, targets=train.targets[order]))


def check_fraction(validation: float) -> None:
    """Raises ArgumentError unless `validation` is a number in [0, 1)."""
    if isinstance(validation, bool) or not isinstance(validation, int | float) or not 0 <= validation < 1:
        hint = f": did you mean {validation / 100}?" if _is_percentage(validation) else ""
        raise ArgumentError(f"validation is a fraction in [0, 1): got {validation!r}{hint}")


def _is_percentage(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and 1 < value < 100
