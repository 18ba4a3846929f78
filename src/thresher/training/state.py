"""How far training has come: the step, what has been measured, and the sums since the last row."""

import math
from collections import deque
from typing import Any

import torch
from torch import Tensor

from thresher.training.metrics import Row

_TIMED_STEPS = 10_000  # the median is over the latest so many, so that a checkpoint does not grow with the run


class TrainingState:
    """The numbers of a run in progress, all of which travel in its checkpoint.

    Losses and errors wait as tensors until `collect` fetches them, so that an accelerator is not waited for at
    every step; the order of summation does not depend on when that is.
    """

    def __init__(self) -> None:
        self.step = 0
        self.rows: list[Row] = []
        self.last_loss: float | None = None
        self.seconds = 0.0
        self.examples = 0
        self.step_seconds: deque[float] = deque(maxlen=_TIMED_STEPS)
        self._loss_sum = 0.0
        self._wrong = 0
        self._since = 0
        self._waiting: list[tuple[Tensor, Tensor, int]] = []

    def add(self, loss: Tensor, wrong: Tensor, examples: int) -> None:
        """Note the mean loss and number of errors of one batch of `examples`."""
        self._waiting.append((loss.detach(), wrong, examples))

    @property
    def waiting(self) -> int:
        """How many batches have been added and not collected."""
        return len(self._waiting)

    def collect(self) -> float | None:
        """Fetch what was added; the first loss that is not finite, or None if all are.

        Where there is one, the sums include nothing after it.
        """
        waiting, self._waiting = self._waiting, []
        if len(waiting) == 1:
            losses, counts = [waiting[0][0].item()], [waiting[0][1].item()]
        elif waiting:
            losses = torch.stack([loss for loss, _, _ in waiting]).tolist()
            counts = torch.stack([wrong for _, wrong, _ in waiting]).tolist()
        else:
            return None
        for loss, wrong, (_, _, examples) in zip(losses, counts, waiting, strict=True):
            if not math.isfinite(loss):
                return float(loss)
            self.last_loss = loss
            self._loss_sum += loss * examples
            self._wrong += int(wrong)
            self._since += examples
            self.examples += examples
        return None

    def train_error_pct(self) -> float:
        """Percentage of training examples that were wrong since the last row; with none since, that row's own."""
        return 100.0 * self._wrong / self._since if self._since else self.rows[-1]["train_error_pct"]

    def close_window(self) -> tuple[float, float]:
        """Mean training loss and error percentage since the last call, which start anew."""
        means = (self._loss_sum / self._since, self.train_error_pct())
        self._loss_sum, self._wrong, self._since = 0.0, 0, 0
        return means

    def state_dict(self) -> dict[str, Any]:
        """All of it, for a checkpoint; what waits must have been collected."""
        return {
            "step": self.step,
            "rows": [dict(row) for row in self.rows],
            "last_loss": self.last_loss,
            "seconds": self.seconds,
            "examples": self.examples,
            "step_seconds": torch.tensor(list(self.step_seconds), dtype=torch.float64),
            "sums": (self._loss_sum, self._wrong, self._since),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self.step, self.rows = state["step"], list(state["rows"])
        self.last_loss, self.seconds, self.examples = state["last_loss"], state["seconds"], state["examples"]
        self.step_seconds = deque(state["step_seconds"].tolist(), maxlen=_TIMED_STEPS)
        self._loss_sum, self._wrong, self._since = state["sums"]
