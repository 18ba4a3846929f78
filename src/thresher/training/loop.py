"""The training step, repeated up to a boundary where the state is whole."""

from collections.abc import Callable
from time import perf_counter

from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from thresher.core import Batch, Loss, read_batches
from thresher.core.loss_value import loss_value
from thresher.core.prunable import device_of
from thresher.core.rule import Rule
from thresher.core.touch import report_touch
from thresher.core.untouched import first_tensor
from thresher.training.diagnosis import bad_parameter, nonfinite_loss
from thresher.training.interruption import StopRequest
from thresher.training.learning_rate import learning_rate_at
from thresher.training.plan import TrainingPlan
from thresher.training.progress import Progress
from thresher.training.state import TrainingState
from thresher.training.stream import TrainingStream
from thresher.training.wrong import count_wrong


class Loop:
    """Takes `state.step` forward by optimizer updates.

    Losses are fetched every `look_every` steps: 1 sees a bad one before it reaches the weights; more lets an
    accelerator run ahead. The updates and the means are the same.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        stream: TrainingStream,
        plan: TrainingPlan,
        loss: Loss,
        rule: Rule,
        state: TrainingState,
        on_progress: Callable[[Progress], None] | None,
        look_every: int,
    ) -> None:
        self._model, self._optimizer, self._rule = model, optimizer, rule
        self._plan, self._loss, self._state = plan, loss, state
        self._on_progress = on_progress
        self._stream = stream
        self._checked = False
        self._trained = [p for group in optimizer.param_groups for p in group["params"]]
        self._look_every = look_every

    def advance(self, boundary: int, stop: StopRequest) -> None:
        """Train until `boundary` steps are done or a stop is requested; the state is then whole and finite.

        Raises NonFiniteError at a loss, or at the end a parameter, that is NaN or infinite, DataError if the first
        batch is of another kind or on another device, and ArgumentError for losses that are not one number.
        """
        state, plan, optimizer = self._state, self._plan, self._optimizer
        self._model.train()
        first, start = state.step, perf_counter()
        while state.step < boundary and not stop.made:
            inputs, targets = self._next_batch()
            rate = learning_rate_at(plan, state.step)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad(set_to_none=True)
            outputs = first_tensor(self._model(inputs))
            loss = loss_value(self._loss, outputs, targets)
            state.add(loss, count_wrong(outputs, targets), len(targets))
            looking = state.waiting >= self._look_every
            if looking:
                self._look(inputs)
            loss.backward()  # type: ignore[no-untyped-call]
            if plan.clip_norm is not None:
                clip_grad_norm_(self._trained, plan.clip_norm)
            optimizer.step()
            self._rule.after_step()
            state.step += 1
            if looking:
                now = perf_counter()
                state.step_seconds.append((now - start) / (state.step - first))
                first, start = state.step, now
                self.report()
        if state.waiting:
            self._look(inputs)
        if error := bad_parameter(self._model):
            raise error
        if state.step > first:
            state.step_seconds.append((perf_counter() - start) / (state.step - first))

    def report(self) -> None:
        """Tell `on_progress` how far it is; after an evaluation its row is the latest."""
        state, last = self._state, self._state.last_loss
        if self._on_progress is None or last is None:
            return
        row = state.rows[-1] if state.rows else None
        self._on_progress(Progress(state.step, self._plan.steps, state.examples, last, state.train_error_pct(), row))

    def _next_batch(self) -> Batch:
        batch = self._stream.next_batch()
        if self._checked:
            report_touch(batch.source, "train", len(batch[1]), batch.indices)
        else:  # the first only: to check every batch takes a hundredth of a small network's step
            device = device_of(dict(self._model.named_parameters()))
            [batch] = read_batches([batch], "train", device)
            self._checked = True
        return batch

    def _look(self, inputs: Tensor) -> None:
        bad = self._state.collect()
        if bad is not None:
            step, last = self._state.step, self._state.last_loss
            what = (
                f"the loss is {bad} at step {step + 1} (learning rate {learning_rate_at(self._plan, step):g}, "
                f"last finite loss {'none' if last is None else format(last, '.6g')})"
            )
            raise nonfinite_loss(self._model, inputs, what, training=True)
