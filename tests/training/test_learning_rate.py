"""Rates against torch's own schedulers, step by step."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from thresher.core.errors import ArgumentError
from thresher.training import TrainingPlan, learning_rate_at

rates = st.floats(1e-5, 10.0)


def rates_of_torch(plan, make):
    """The rates of `plan.steps` updates when `make(optimizer)` schedules them."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=plan.learning_rate)
    scheduler = make(optimizer)
    rates = []
    for _ in range(plan.steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def check(plan, make):
    ours = [learning_rate_at(plan, step) for step in range(plan.steps)]
    assert ours == pytest.approx(rates_of_torch(plan, make), rel=1e-9, abs=1e-15)


def warm(optimizer, plan, then):
    """Linear warm-up, then the schedule from its own beginning."""
    w = plan.warmup_steps
    if w == 0:
        return then
    warmup = lr_scheduler.LinearLR(optimizer, start_factor=1 / w, end_factor=1.0, total_iters=max(w - 1, 1))
    return lr_scheduler.SequentialLR(optimizer, [warmup, then], milestones=[w])


@given(rate=rates, every=st.integers(1, 30), factor=st.floats(0.05, 1.0))
def test_decay_every(rate, every, factor):
    plan = TrainingPlan(steps=60, learning_rate=rate, schedule="step", decay_every=every, decay_factor=factor)
    check(plan, lambda o: lr_scheduler.StepLR(o, every, factor))


@given(rate=rates, milestones=st.sets(st.integers(1, 70), min_size=1), factor=st.floats(0.05, 1.0))
def test_milestones(rate, milestones, factor):
    given = tuple(sorted(milestones))
    plan = TrainingPlan(steps=60, learning_rate=rate, schedule="step", milestones=given, decay_factor=factor)
    check(plan, lambda o: lr_scheduler.MultiStepLR(o, list(given), factor))


@given(rate=rates, warmup=st.integers(0, 12), steps=st.integers(13, 60))
def test_cosine_after_warmup(rate, warmup, steps):
    plan = TrainingPlan(steps=steps, learning_rate=rate, schedule="cosine", warmup_steps=warmup)
    check(plan, lambda o: warm(o, plan, lr_scheduler.CosineAnnealingLR(o, T_max=steps - warmup)))


@given(rate=rates, warmup=st.integers(0, 12), steps=st.integers(13, 60))
def test_linear_after_warmup(rate, warmup, steps):
    plan = TrainingPlan(steps=steps, learning_rate=rate, schedule="linear", warmup_steps=warmup)
    check(plan, lambda o: warm(o, plan, lr_scheduler.LinearLR(o, 1.0, 0.0, total_iters=steps - warmup)))


def test_warmup_multiplies_step_decay():
    plan = TrainingPlan(steps=20, learning_rate=0.4, schedule="step", decay_every=3, warmup_steps=8)

    def both(optimizer):
        warmup = lr_scheduler.LinearLR(optimizer, start_factor=1 / 8, total_iters=7)
        return lr_scheduler.ChainedScheduler([warmup, lr_scheduler.StepLR(optimizer, 3, 0.1)])

    check(plan, both)


def test_the_thesis_rates_and_the_ends():
    plan = TrainingPlan(steps=80_000, learning_rate=0.1, schedule="step", decay_every=25_000)
    at = [learning_rate_at(plan, step) for step in (0, 24_999, 25_000, 50_000, 79_999)]
    assert at == pytest.approx([0.1, 0.1, 0.01, 0.001, 0.0001])
    for schedule in ("linear", "cosine"):
        assert learning_rate_at(TrainingPlan(steps=9, learning_rate=0.3, schedule=schedule), 9) == 0.0


@pytest.mark.parametrize("step", [-1, 11])
def test_a_step_outside_the_plan(step):
    with pytest.raises(ArgumentError, match=r"\[0, 10\]"):
        learning_rate_at(TrainingPlan(steps=10, learning_rate=0.1), step)
