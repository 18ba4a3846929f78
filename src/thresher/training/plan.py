"""What training does, as data: how many steps, by which update, at which rate, looked at how often."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from thresher.core.errors import ArgumentError, unknown_name

OptimizerName: TypeAlias = Literal["sgd", "momentum", "nesterov", "adam", "adamw"]
ScheduleName: TypeAlias = Literal["constant", "step", "linear", "cosine"]


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """A checked plan of `steps` optimizer updates.

    `momentum` is read by the optimizers "momentum" and "nesterov" only. `weight_decay` is an L2 term in the
    gradient of every trainable parameter, for "adamw" the decoupled decay. `schedule` "step" multiplies the rate
    by `decay_factor` at every step in `milestones`, or every `decay_every` steps (Lee 2021, §3.5: 0.1 every
    25,000); "linear" and "cosine" go down to zero at `steps`. The rate rises linearly over the first
    `warmup_steps`. `clip_norm` bounds the norm of the whole gradient. The model is evaluated every
    `evaluate_every` steps, a checkpoint is written every `checkpoint_every`, and both also after the last step.

    Raises ArgumentError for a value outside its range or an option that the plan would not read.

    >>> plan = TrainingPlan(steps=80_000, learning_rate=0.1, schedule="step", decay_every=25_000)
    >>> plan.optimizer, plan.decay_factor
    ('momentum', 0.1)
    """

    steps: int
    learning_rate: float
    optimizer: OptimizerName = "momentum"
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: ScheduleName = "constant"
    milestones: tuple[int, ...] = ()
    decay_every: int | None = None
    decay_factor: float = 0.1
    warmup_steps: int = 0
    clip_norm: float | None = None
    evaluate_every: int = 500
    checkpoint_every: int = 1000

    def __post_init__(self) -> None:
        if self.optimizer not in get_args(OptimizerName):
            raise unknown_name("optimizer", str(self.optimizer), get_args(OptimizerName))
        if self.schedule not in get_args(ScheduleName):
            raise unknown_name("schedule", str(self.schedule), get_args(ScheduleName))
        for name in ("steps", "evaluate_every", "checkpoint_every"):
            _require_count(name, getattr(self, name), least=1)
        _require_count("warmup_steps", self.warmup_steps, least=0)
        if self.warmup_steps >= self.steps:
            raise ArgumentError(f"warmup_steps is less than steps={self.steps}: got {self.warmup_steps}")
        _require_real("learning_rate", self.learning_rate, "a positive number", above=0.0)
        _require_real("weight_decay", self.weight_decay, "a number that is not negative", least=0.0)
        if self.clip_norm is not None:
            _require_real("clip_norm", self.clip_norm, "a positive number, or None", above=0.0)
        least_momentum = 0.0 if self.optimizer != "nesterov" else math.ulp(0.0)
        _require_real("momentum", self.momentum, "in [0, 1), above 0 for nesterov", least=least_momentum, below=1.0)
        self._require_decay()

    def _require_decay(self) -> None:
        given = bool(self.milestones) + (self.decay_every is not None)
        if self.schedule != "step":
            if given:
                raise ArgumentError(
                    f"milestones and decay_every belong to schedule 'step': got schedule {self.schedule!r}"
                )
            return
        if given != 1:
            raise ArgumentError("schedule 'step' takes either milestones or decay_every: got both or neither")
        if self.decay_every is not None:
            _require_count("decay_every", self.decay_every, least=1)
        if not isinstance(self.milestones, tuple):
            raise ArgumentError(f"milestones is a tuple of steps: got {type(self.milestones).__name__}")
        before = 0
        for milestone in self.milestones:
            _require_count("milestones, which rise,", milestone, least=before + 1)
            before = milestone
        _require_real("decay_factor", self.decay_factor, "in (0, 1]", above=0.0, below=math.nextafter(1.0, 2.0))


def _require_count(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ArgumentError(f"{name} is a whole number of at least {least}: got {value!r}")


def _require_real(
    name: str,
    value: object,
    expected: str,
    above: float = -math.inf,
    least: float = -math.inf,
    below: float = math.inf,
) -> None:
    # NaN fails every comparison, infinity the strict ones
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not (above < value and least <= value < below):  # type: ignore[operator]
        raise ArgumentError(f"{name} is {expected}: got {value!r}")
