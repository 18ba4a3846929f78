"""The learning rate as a pure function of the step, so that a resumed run has no scheduler to restore."""

import math
from bisect import bisect_right
from collections.abc import Callable

from thresher.core.errors import ArgumentError
from thresher.training.plan import ScheduleName, TrainingPlan


def learning_rate_at(plan: TrainingPlan, step: int) -> float:
    """The rate of the update that comes after `step` updates, step in [0, plan.steps].

    rate = learning_rate · min(1, (step + 1) / warmup_steps) · factor(step). The warm-up is that of Goyal et al.
    (2017, §2.2), from learning_rate / warmup_steps to learning_rate, whatever the schedule. Milestones count from
    step 0, warm-up included; "linear" and "cosine" (Loshchilov and Hutter 2017, Eq. 5, one period, no restart)
    begin where the warm-up ends and are zero at `steps`, one step after the last update.
    Raises ArgumentError for a step outside the plan. Cost: O(log milestones).

    >>> plan = TrainingPlan(steps=100, learning_rate=0.1, schedule="step", milestones=(50, 75))
    >>> [round(learning_rate_at(plan, step), 6) for step in (0, 49, 50, 75)]
    [0.1, 0.1, 0.01, 0.001]
    """
    if not 0 <= step <= plan.steps:
        raise ArgumentError(f"step is in [0, {plan.steps}] for this plan: got {step}")
    warmup = min(1.0, (step + 1) / plan.warmup_steps) if plan.warmup_steps else 1.0
    return plan.learning_rate * warmup * SCHEDULES[plan.schedule](plan, step)


def _constant(plan: TrainingPlan, step: int) -> float:
    return 1.0


def _step(plan: TrainingPlan, step: int) -> float:
    decays = step // plan.decay_every if plan.decay_every else bisect_right(plan.milestones, step)
    return plan.decay_factor**decays


def _linear(plan: TrainingPlan, step: int) -> float:
    return 1.0 - _progress(plan, step)


def _cosine(plan: TrainingPlan, step: int) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * _progress(plan, step)))


def _progress(plan: TrainingPlan, step: int) -> float:
    return max(0, step - plan.warmup_steps) / (plan.steps - plan.warmup_steps)


SCHEDULES: dict[ScheduleName, Callable[[TrainingPlan, int], float]] = {
    "constant": _constant,
    "step": _step,
    "linear": _linear,
    "cosine": _cosine,
}
