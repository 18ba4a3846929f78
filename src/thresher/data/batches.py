"""One pass over a data set in normalised batches that know which examples they hold."""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from thresher.core.batch import Batch
from thresher.core.errors import ArgumentError
from thresher.data.augment import flip_and_shift
from thresher.data.dataset import Dataset
from thresher.data.normalization import normalize, scale_and_offset
from thresher.data.splits import Splits

Statistics: TypeAlias = Splits | tuple[Sequence[float], Sequence[float]]


class Cutter:
    """Cuts normalised batches out of a data set: what `Batches` and `Stream` share."""

    def __init__(self, dataset: Dataset, statistics: Statistics, device: torch.device | str) -> None:
        self.dataset = dataset
        self.device = torch.device(device)
        mean, std = (statistics.mean, statistics.std) if isinstance(statistics, Splits) else statistics
        self._scale, self._offset = (t.to(self.device) for t in scale_and_offset(dataset.inputs, mean, std))

    def cut(self, rows: slice | Tensor, augment: torch.Generator | None) -> Batch:
        """The batch of the examples at `rows`, augmented by draws from `augment` if there is one."""
        data = self.dataset
        # bytes are moved to the device and turned into floats there: a quarter of the traffic
        inputs = normalize(_pick(data.inputs, rows).to(self.device), self._scale, self._offset)
        if augment is not None:
            inputs = flip_and_shift(inputs, augment)
        # copies: a slice is a view, and who writes into a batch must not write into the data set
        targets = _pick(data.targets, rows).to(self.device, copy=True)
        return Batch(inputs, targets, data.name, _pick(data.indices, rows).clone())


def _pick(tensor: Tensor, rows: slice | Tensor) -> Tensor:
    if isinstance(rows, slice):
        return tensor[rows]
    return tensor.index_select(0, rows.to(tensor.device))


class Batches:
    """Batches (inputs float32 [B, C, H, W], targets int64 [B]) of `dataset`; iterate as often as needed.

    Args:
        dataset: the examples.
        statistics: Splits, or (mean, std) per channel; of the train split, whatever is read.
        batch_size: B, at least 1; the last batch holds what is left.
        device: where the batches lie. A `dataset.to(device)` beforehand saves the copies.
        generator: if given, each pass draws a new order from it; otherwise the order is the published one.
        augment: if given, each batch is flipped and shifted by draws from it; see `augment.flip_and_shift`.

    Each item is a `core.Batch` with `source` and `indices` in the published order. Nothing is reported here:
    whoever reads for a purpose reports the touch (`core.read_batches` does).
    Raises ArgumentError for a batch size below 1 or statistics of another number of channels.
    Cost: one index_select on bytes and one conversion per batch; no per-example Python.

    >>> images = torch.arange(5, dtype=torch.uint8).reshape(5, 1, 1, 1)
    >>> data = Dataset("toy/train", images, torch.zeros(5, dtype=torch.int64), 1)
    >>> [batch.indices.tolist() for batch in Batches(data, ([0.0], [1.0]), batch_size=2)]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Dataset,
        statistics: Statistics,
        batch_size: int,
        *,
        device: torch.device | str = "cpu",
        generator: torch.Generator | None = None,
        augment: torch.Generator | None = None,
    ) -> None:
        self.batch_size = check_batch_size(batch_size)
        self._cutter = Cutter(dataset, statistics, device)
        self._generator = generator
        self._augment = augment

    @property
    def dataset(self) -> Dataset:
        """The examples that are read."""
        return self._cutter.dataset

    def __len__(self) -> int:
        """Batches in one pass."""
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        order = None
        if self._generator is not None:
            device = self._generator.device
            order = torch.randperm(len(self.dataset), generator=self._generator, device=device)
        for start in range(0, len(self.dataset), self.batch_size):
            rows = slice(start, start + self.batch_size)
            yield self._cutter.cut(rows if order is None else order[rows], self._augment)


def check_batch_size(batch_size: int) -> int:
    """`batch_size` itself; raises ArgumentError unless it is an integer from 1."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ArgumentError(f"batch_size is an integer from 1: got {batch_size!r}")
    return batch_size
