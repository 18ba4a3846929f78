"""Endless training batches whose only state is the number of steps taken."""

from collections.abc import Mapping

import torch
from torch import Tensor

from thresher.core.batch import Batch
from thresher.core.errors import ArgumentError, DataError
from thresher.core.seeds import generator
from thresher.data.batches import Cutter, Statistics, check_batch_size
from thresher.data.dataset import Dataset


class Stream:
    """Batches for training, epoch after epoch, each epoch in an order of its own.

    The order is a function of (seed, epoch) and the augmentation of (seed, step), so the step number says
    everything: a stream that loads it continues with bit-identical batches, mid-epoch too.

    Args:
        dataset, statistics, batch_size, device: as for `Batches`.
        seed: what the orders and the augmentation are drawn from.
        augment: whether each batch is flipped and shifted; see `augment.flip_and_shift`.

    Raises DataError if the data set is empty, ArgumentError as `Batches` does.

    >>> images = torch.arange(5, dtype=torch.uint8).reshape(5, 1, 1, 1)
    >>> data = Dataset("toy/train", images, torch.zeros(5, dtype=torch.int64), 1)
    >>> stream = Stream(data, ([0.0], [1.0]), batch_size=2, seed=0)
    >>> sorted(torch.cat([stream.next_batch().indices for _ in range(stream.steps_per_epoch)]).tolist())
    [0, 1, 2, 3, 4]
    """

    def __init__(
        self,
        dataset: Dataset,
        statistics: Statistics,
        batch_size: int,
        *,
        seed: int,
        device: torch.device | str = "cpu",
        augment: bool = False,
    ) -> None:
        if len(dataset) == 0:
            raise DataError(f"{dataset.name} holds no examples to train on")
        self.step = 0
        self.batch_size = check_batch_size(batch_size)
        self.seed = seed
        self.augment = augment
        self._cutter = Cutter(dataset, statistics, device)
        self._order: tuple[int, Tensor] | None = None

    @property
    def dataset(self) -> Dataset:
        """The examples that are read."""
        return self._cutter.dataset

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one epoch; the last holds what is left, a single example joins the batch before it."""
        whole, left = divmod(len(self.dataset), self.batch_size)
        # batch norm has no statistics of one example, and a run would stop at the end of its first epoch
        alone = left == 1 and whole > 0
        return whole + (left > 0) - alone

    def next_batch(self) -> Batch:
        """The batch of this step; the stream is then one step further. It reports no touch."""
        epoch, place = divmod(self.step, self.steps_per_epoch)
        end = (place + 1) * self.batch_size if place + 1 < self.steps_per_epoch else None
        rows = self._epoch_order(epoch)[place * self.batch_size : end]
        draws = generator(self.seed, f"augmentation/{self.step}") if self.augment else None
        batch = self._cutter.cut(rows, draws)
        self.step += 1
        return batch

    def state_dict(self) -> dict[str, int]:
        """The step, and what a stream must agree in to continue from it; integers only."""
        return {"step": self.step, **self._terms()}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Continue from `state`.

        Raises ArgumentError, and changes nothing, if it is of a stream with another seed, batch size, number of
        examples or augmentation: its batches would be others.
        """
        expected = {"step", *self._terms()}
        if set(state) != expected:
            raise ArgumentError(f"the state of a stream has the keys {sorted(expected)}: got {sorted(state)}")
        for name, ours in self._terms().items():
            if state[name] != ours:
                raise ArgumentError(f"the state is of a stream with {name}={state[name]}; this one has {ours}")
        if state["step"] < 0:
            raise ArgumentError(f"a step is not negative: got {state['step']}")
        self.step = int(state["step"])

    def _terms(self) -> dict[str, int]:
        return {
            "seed": self.seed,
            "batch_size": self.batch_size,
            "num_examples": len(self.dataset),
            "augment": int(self.augment),
        }

    def _epoch_order(self, epoch: int) -> Tensor:
        if self._order is None or self._order[0] != epoch:
            draws = generator(self.seed, f"epoch-order/{epoch}")
            self._order = epoch, torch.randperm(len(self.dataset), generator=draws)
        return self._order[1]
