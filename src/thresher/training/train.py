"""Training from a plan: evaluations and checkpoints at step boundaries, and nothing lost on the way."""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

from torch import nn

from thresher.core import Data, Loss
from thresher.core.errors import ArgumentError, RunDirectoryError
from thresher.core.prunable import device_of
from thresher.core.rule import Rule
from thresher.training.checkpoint import Stateful, load_checkpoint, save_checkpoint
from thresher.training.interruption import Interrupted, StopRequest, deferred_interrupt
from thresher.training.loop import Loop
from thresher.training.measure import measure
from thresher.training.metrics import MetricsFile
from thresher.training.no_rule import NoRule
from thresher.training.optimizers import make_optimizer
from thresher.training.outcome import Outcome
from thresher.training.plan import TrainingPlan
from thresher.training.progress import Progress
from thresher.training.random_state import RandomState
from thresher.training.state import TrainingState
from thresher.training.stream import TrainingStream

_LOOK_EVERY = 50  # steps between waits for an accelerator; the CPU has nothing to wait for


def train(
    model: nn.Module,
    stream: TrainingStream,
    plan: TrainingPlan,
    *,
    loss: Loss,
    validation: Data | None = None,
    test: Data | None = None,
    rule: Rule | None = None,
    run_dir: Path | str | None = None,
    fingerprint: str | None = None,
    resume: bool = False,
    carry: Mapping[str, Stateful] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Outcome:
    """The outcome of training `model`, in place, by `plan.steps` updates on batches of `stream`.

    `loss` maps (class scores [N, classes], targets [N]) to one number, the mean over the batch; `validation` and
    `test` are batches that can be read again and again; `rule` holds after every update (dense without one).
    With `run_dir`, every evaluation is appended to ``metrics.jsonl`` there and ``checkpoint.pt`` holds all that
    a run needs to go on: Ctrl-C then stops at the next step boundary, after saving, and a kill loses what came
    after the last checkpoint. `resume` goes on from the checkpoint, if there is one, to weights, optimizer state
    and metrics that are bit-identical to those of a run that was never stopped (same machine, library versions
    and thread count). `fingerprint` names what must be equal for that, the recipe (default: a digest of the
    plan); `carry` are objects whose state travels along, such as a rule that changes or a ledger of touches.

    Draws (dropout) come from torch's global generators: seed them, or call inside
    ``core.seeds.isolated_random_state(seed)``; on resume they are set. Reads are Touches for "train",
    "validation", "test". The model is left in training mode.

    Raises Interrupted on Ctrl-C, NonFiniteError where the loss or a weight is, FileFormatError for a checkpoint
    that is cut short or another recipe's, RunDirectoryError where nothing can be written or `run_dir` holds a
    checkpoint and `resume` is off, and ArgumentError, DataError for losses and batches of other kinds.

    >>> import torch
    >>> from thresher.core.seeds import isolated_random_state
    >>> from thresher.data import Batches, Dataset, Stream
    >>> points = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]])
    >>> data = Dataset("toy/train", points, (points[:, 0] > 0).long(), 2)
    >>> with isolated_random_state(0):
    ...     net = nn.Linear(1, 2)
    >>> outcome = train(
    ...     net,
    ...     Stream(data, ([0.0], [1.0]), batch_size=2, seed=0),
    ...     TrainingPlan(steps=40, learning_rate=0.5, evaluate_every=20),
    ...     loss=nn.functional.cross_entropy,
    ...     test=Batches(data, ([0.0], [1.0]), batch_size=4),
    ... )
    >>> outcome.test_error_final_pct, [row["step"] for row in outcome.rows]
    (0.0, [20, 40])
    """
    for name, data in (("validation", validation), ("test", test)):
        if data is not None and iter(data) is data:
            raise ArgumentError(f"{name} is read at every evaluation, but this iterator can be read once: pass a list")
    started = perf_counter()
    state = TrainingState()
    optimizer = make_optimizer(model, plan)
    device = device_of(dict(model.named_parameters()))
    look_every = 1 if device.type == "cpu" else _LOOK_EVERY
    parts: dict[str, Stateful] = {
        "model": model,
        "optimizer": optimizer,
        "stream": stream,
        "random state": RandomState(device),
        "progress": state,
    }
    parts |= {f"carry/{name}": part for name, part in (carry or {}).items()}
    fingerprint = fingerprint or hashlib.sha256(repr(plan).encode()).hexdigest()[:16]
    checkpoint = None if run_dir is None else Path(run_dir) / "checkpoint.pt"
    if checkpoint is not None and checkpoint.exists():
        if not resume:
            raise RunDirectoryError(f"{checkpoint} is there already: resume it or choose another run directory")
        load_checkpoint(checkpoint, parts, fingerprint)
    rule = rule or NoRule()
    rule.start(model, optimizer)
    loop = Loop(model, optimizer, stream, plan, loss, rule, state, on_progress, look_every)
    seconds_before, stop = state.seconds, StopRequest()
    with ExitStack() as stack:
        metrics = None
        if checkpoint is not None:
            metrics = stack.enter_context(MetricsFile(checkpoint.with_name("metrics.jsonl"), state.rows))
            stop = stack.enter_context(deferred_interrupt())
        while state.step < plan.steps:
            loop.advance(_next_boundary(plan, state.step), stop)
            if _due(plan, state.step, plan.evaluate_every) and not (
                state.rows and state.rows[-1]["step"] == state.step
            ):
                state.rows.append(measure(model, loss, plan, state, stream.steps_per_epoch, validation, test))
                if metrics is not None:
                    metrics.append(state.rows[-1])
                loop.report()
            state.seconds = seconds_before + perf_counter() - started
            stopping = stop.made  # read once: a Ctrl-C after the save waits for the next boundary
            if checkpoint is not None and (stopping or _due(plan, state.step, plan.checkpoint_every)):
                save_checkpoint(checkpoint, parts, fingerprint)
            if stopping:
                break
        if checkpoint is not None and stop.made:
            raise Interrupted(checkpoint, state.step, plan.steps)
    return Outcome.of(state)


def _due(plan: TrainingPlan, step: int, every: int) -> bool:
    return step == plan.steps or (step > 0 and step % every == 0)


def _next_boundary(plan: TrainingPlan, step: int) -> int:
    return min(plan.steps, *(step - step % every + every for every in (plan.evaluate_every, plan.checkpoint_every)))
