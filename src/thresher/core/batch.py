"""Reading (inputs, targets) batches: checked, moved nowhere in silence, and reported as touches."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor

from thresher.core.errors import DataError
from thresher.core.touch import report_touch

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
Data: TypeAlias = Iterable[tuple[Tensor, Tensor]]


class Batch(tuple[Tensor, Tensor]):
    """An (inputs, targets) pair that also knows which examples of which data set it holds.

    It unpacks as the pair: ``inputs, targets = batch``.
    """

    source: str
    indices: Tensor

    def __new__(cls, inputs: Tensor, targets: Tensor, source: str, indices: Tensor) -> "Batch":
        batch = super().__new__(cls, (inputs, targets))
        batch.source = source
        batch.indices = indices
        return batch

    def __getnewargs__(self) -> tuple[Tensor, Tensor, str, Tensor]:
        """What copy and pickle (data-loading worker processes) make the batch anew from."""
        return (*self, self.source, self.indices)


def read_batches(data: Data | None, purpose: str, device: torch.device) -> Iterator[Batch]:
    """The batches of `data`, each checked and reported as a Touch for `purpose`.

    Raises DataError if there is no data or it is empty, or if a batch is no (inputs, targets) pair of one length
    or lies on another device than `device`.
    """
    if data is None:
        raise DataError(f"{purpose} reads examples: pass data=, an iterable of (inputs, targets) batches")
    if not isinstance(data, Iterable):
        raise DataError(f"{purpose} expects an iterable of (inputs, targets) batches: got {type(data).__name__}")
    empty = True
    for item in data:
        empty = False
        batch = _checked(item, purpose, device)
        report_touch(batch.source, purpose, len(batch.indices) or len(batch[0]), _known(batch))
        yield batch
    if empty:
        raise DataError(f"{purpose} got data without a single batch")


def _known(batch: Batch) -> Tensor | None:
    return batch.indices if len(batch.indices) else None


def _checked(item: object, purpose: str, device: torch.device) -> Batch:
    if not isinstance(item, tuple | list) or len(item) != 2 or not all(isinstance(t, Tensor) for t in item):
        raise DataError(f"{purpose} expects (inputs, targets) pairs of tensors as batches: got {_describe(item)}")
    inputs, targets = item
    if inputs.dim() == 0 or len(inputs) == 0:
        raise DataError(f"{purpose} got a batch without examples: inputs of shape {tuple(inputs.shape)}")
    if targets.dim() and len(targets) != len(inputs):
        raise DataError(f"{purpose} got {len(inputs)} inputs but {len(targets)} targets in a batch")
    for what, tensor in (("inputs", inputs), ("targets", targets)):
        if tensor.device.type != device.type or (device.index or 0) != (tensor.device.index or 0):
            raise DataError(
                f"{purpose} got {what} on {tensor.device} but the model's weights are on {device}: "
                f"move the batch with .to('{device}') or the model with .to('{tensor.device}')"
            )
    if isinstance(item, Batch):
        return item
    return Batch(inputs, targets, "?", torch.empty(0, dtype=torch.int64))


def _describe(item: object) -> str:
    if isinstance(item, Tensor):
        return f"one tensor of shape {tuple(item.shape)}"
    if isinstance(item, tuple | list):
        return f"a {type(item).__name__} of {[type(part).__name__ for part in item]}"
    return type(item).__name__
