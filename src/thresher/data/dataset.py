"""Labelled examples in memory, each with its place in the published order."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from thresher.core.errors import ArgumentError, DataError

# stands for "0, 1, 2, …" until the number of examples is known
_PUBLISHED_ORDER = torch.empty(0, dtype=torch.int64)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples with labels: what was read from a file, unnormalised.

    Args:
        name: where the examples come from, "mnist/train"; a subset keeps the name of the whole, so that
            (name, index) names an example whichever split it went to.
        inputs: [N, C, H, W] uint8 for images; any floating dtype and any rank from 2 for other data.
        targets: [N] int64, in [0, num_classes).
        num_classes: number of classes, at least 1.
        indices: [N] int64, position of each example in the published order; by default 0 … N-1.

    Raises DataError if lengths disagree, a dtype or rank is another, or a label is out of range: the message
    gives the first such index and value.

    >>> data = Dataset("toy/train", torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1, 0]), 2)
    >>> len(data), data.subset(torch.tensor([2])).indices
    (3, tensor([2]))
    """

    name: str
    inputs: Tensor
    targets: Tensor
    num_classes: int
    indices: Tensor = field(default=_PUBLISHED_ORDER)

    def __post_init__(self) -> None:
        if self.indices is _PUBLISHED_ORDER:
            object.__setattr__(self, "indices", torch.arange(len(self.inputs)))
        self._check_tensors()
        self._check_labels()

    def __len__(self) -> int:
        return len(self.targets)

    def __repr__(self) -> str:
        return f"Dataset({self.name}, {len(self)} × {self.input_shape}, {self.num_classes} classes)"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example, (C, H, W) for images."""
        return tuple(self.inputs.shape[1:])

    def subset(self, rows: Tensor) -> "Dataset":
        """The examples at `rows` (int64, positions in this data set), which keep their published indices."""
        if rows.dtype is not torch.int64 or rows.dim() != 1:
            raise ArgumentError(f"rows is a 1-D int64 tensor: got {rows.dtype} of shape {tuple(rows.shape)}")
        if len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= len(self)):
            raise ArgumentError(f"rows lie in [0, {len(self)}): got {int(rows.min())} to {int(rows.max())}")
        at = rows.to(self.inputs.device)
        return Dataset(
            self.name,
            self.inputs.index_select(0, at),
            self.targets.index_select(0, at.to(self.targets.device)),
            self.num_classes,
            self.indices.index_select(0, rows.to(self.indices.device)),
        )

    def to(self, device: torch.device | str) -> "Dataset":
        """The same examples with inputs and targets on `device`, so that batches are cut there."""
        return Dataset(self.name, self.inputs.to(device), self.targets.to(device), self.num_classes, self.indices)

    def _check_tensors(self) -> None:
        if self.inputs.dim() < 2:
            raise DataError(f"{self.name}: inputs are [N, C, …]: got shape {tuple(self.inputs.shape)}")
        if self.inputs.dtype is not torch.uint8 and not self.inputs.is_floating_point():
            raise DataError(f"{self.name}: inputs are uint8 or floating: got {self.inputs.dtype}")
        for what, tensor in (("targets", self.targets), ("indices", self.indices)):
            if tensor.dtype is not torch.int64 or tensor.dim() != 1:
                raise DataError(f"{self.name}: {what} are [N] int64: got {tensor.dtype} of shape {tuple(tensor.shape)}")
            if len(tensor) != len(self.inputs):
                raise DataError(f"{self.name}: {len(self.inputs)} inputs but {len(tensor)} {what}")

    def _check_labels(self) -> None:
        if self.num_classes < 1:
            raise DataError(f"{self.name}: num_classes is at least 1: got {self.num_classes}")
        bad = ((self.targets < 0) | (self.targets >= self.num_classes)).nonzero()
        if len(bad):
            first = int(bad[0])
            raise DataError(
                f"{self.name}: labels lie in [0, {self.num_classes}): example {int(self.indices[first])} "
                f"has label {int(self.targets[first])} ({len(bad)} such labels in all)"
            )
