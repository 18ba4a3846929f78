"""The loop against a bare one; what it reads, reports, refuses."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from thresher.core import Mask, generator, listen
from thresher.core.errors import ArgumentError, DataError
from thresher.core.seeds import isolated_random_state
from thresher.training import evaluate, learning_rate_at
from thresher.training.interruption import StopRequest
from thresher.training.loop import Loop
from thresher.training.no_rule import NoRule
from thresher.training.state import TrainingState

cross_entropy = nn.functional.cross_entropy


def bare_loop(toy, plan, seed=3):
    """The same training written the short way: the model, losses, wrong predictions and sizes per step."""
    model, stream, log = toy.net(), toy.Stream(toy.examples(40, 0)), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=plan.weight_decay)
    with isolated_random_state(seed):
        for step in range(plan.steps):
            optimizer.param_groups[0]["lr"] = learning_rate_at(plan, step)
            inputs, targets = stream.next_batch()
            optimizer.zero_grad()
            outputs = model(inputs)
            loss = cross_entropy(outputs, targets)
            loss.backward()
            optimizer.step()
            wrong = (outputs.detach().numpy().argmax(1) != targets.numpy()).sum()
            log.append((loss.item(), wrong, len(targets)))
    return model, np.array(log)


def test_weights_and_training_means_are_those_of_a_bare_loop(toy, same):
    model = toy.net()
    outcome = toy.run(None, model=model)
    expected, log = bare_loop(toy, toy.plan())
    assert same(dict(model.state_dict()), dict(expected.state_dict()))
    edges = [0, 9, 18, 27, 36, 40]
    assert [row["step"] for row in outcome.rows] == edges[1:]
    for row, start, end in zip(outcome.rows, edges, edges[1:], strict=False):
        losses, wrong, sizes = log[start:end].T
        assert row["train_loss"] == pytest.approx((losses * sizes).sum() / sizes.sum(), rel=1e-12)
        assert row["train_error_pct"] == pytest.approx(100 * wrong.sum() / sizes.sum(), rel=1e-12)
        assert row["learning_rate"] == learning_rate_at(toy.plan(), end - 1)
        assert row["epoch"] == end / 6
    assert outcome.examples_per_second * outcome.seconds_per_step == pytest.approx(log[:, 2].mean())
    final = evaluate(expected, toy.examples(20, 2), cross_entropy, "test")
    assert (outcome.rows[-1]["test_loss"], outcome.test_error_final_pct) == (final.loss, final.error_pct)


def test_metrics_are_the_rows_and_have_the_published_fields(toy, tmp_path):
    outcome = toy.run(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == list(outcome.rows)
    assert list(lines[0]) == [
        "step",
        "epoch",
        "learning_rate",
        "train_loss",
        "train_error_pct",
        "validation_loss",
        "validation_error_pct",
        "test_loss",
        "test_error_pct",
    ]


def test_fetching_losses_rarely_changes_no_number(toy, same):
    def trained(look_every):
        model, state, plan, seen = toy.net(), TrainingState(), toy.plan(), []
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        stream = toy.Stream(toy.examples(40, 0))
        loop = Loop(
            model, optimizer, stream, plan, cross_entropy, NoRule(), state, lambda p: seen.append(p.step), look_every
        )
        means = []
        with isolated_random_state(3):
            for boundary in (17, 23, 40):
                loop.advance(boundary, StopRequest())
                means.append(state.close_window())
        return dict(model.state_dict()), means, seen, len(state.step_seconds)

    often, rarely = trained(1), trained(10)
    assert same(rarely[:2], often[:2])
    assert (often[2], often[3]) == (list(range(1, 41)), 40)
    assert rarely[2] == [10, 33]
    assert rarely[3] == 5  # 10 and 7 steps, 6 steps, 10 and 7 steps


def test_a_bad_loss_among_many_is_found_though_fetched_late():
    state = TrainingState()
    for value in (1.0, 2.0, float("nan"), 4.0):
        state.add(torch.tensor(value), torch.tensor(1), 5)
    assert np.isnan(state.collect())
    assert (state.last_loss, state.examples, state.waiting) == (2.0, 10, 0)


class Recorder:
    """A rule that keeps a mask, as a fixed mask does, and what it was told."""

    def __init__(self, mask):
        self.mask, self.told = mask, []

    def start(self, model, optimizer):
        self.model = model
        self.told.append(("start", optimizer.state_dict()["state"]))
        self.mask.apply_(model)

    def after_step(self):
        self.told.append(len(self.told))
        self.mask.apply_(self.model)


def test_the_rule_starts_once_and_holds_after_every_step(toy):
    model = toy.net()
    keep = torch.rand(16, toy.FEATURES, generator=generator(0, "mask")) < 0.2
    rule = Recorder(Mask({"0.weight": keep}))
    before = model[0].weight.detach().clone()
    toy.run(None, model=model, rule=rule)
    assert rule.told == [("start", {}), *range(1, 41)]
    assert bool((model[0].weight[~keep] == 0).all())
    assert not torch.equal(model[0].weight[keep], before[keep])


def test_every_read_is_a_touch(toy):
    with listen() as touches:
        toy.run(None)
    counts = {}
    for touch in touches:
        assert len(touch.indices) == touch.count
        key = (touch.dataset, touch.purpose)
        counts[key] = counts.get(key, 0) + touch.count
    # 6 epochs of 40 and 4 batches of 7; 5 evaluations
    assert counts == {("toy/0", "train"): 6 * 40 + 28, ("toy/1", "validation"): 75, ("toy/2", "test"): 100}


def test_progress_tells_every_step_and_every_row(toy):
    seen = []
    outcome = toy.run(None, on_progress=seen.append)
    assert [progress.step for progress in seen] == sorted([*range(1, 41), 9, 18, 27, 36, 40])
    assert (seen[8].step, seen[8].row) == (9, None)
    assert (seen[9].step, seen[9].row) == (9, outcome.rows[0])
    assert seen[8].error_pct == seen[9].error_pct == outcome.rows[0]["train_error_pct"]
    assert (seen[-1].steps, seen[-1].examples, seen[-1].row) == (40, 268, outcome.rows[-1])


def test_without_evaluation_data(toy):
    outcome = toy.run(None, validation=None, test=None)
    assert outcome.test_error_final_pct is outcome.validation_error_best_pct is None
    assert all(row["test_loss"] is row["validation_error_pct"] is None for row in outcome.rows)


def test_with_a_seed_around_it_the_global_random_state_is_untouched(toy):
    before = torch.get_rng_state()
    toy.run(None)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_model_is_left_training_and_evaluation_is_not(toy):
    modes = []

    def loss(outputs, targets):
        modes.append(model.training)
        return cross_entropy(outputs, targets)

    model = toy.net().eval()
    toy.run(None, model=model, loss=loss, validation=None, plan=toy.plan(steps=9))
    assert modes == [True] * 9 + [False] * 3
    assert model.training


def test_refusals(toy, tmp_path):
    with pytest.raises(ArgumentError, match="validation is read at every evaluation"):
        toy.run(None, validation=iter(toy.examples(5, 0)))
    with pytest.raises(ArgumentError, match=r"loss returned shape \(7,\); expected one number"):
        toy.run(None, loss=lambda o, t: cross_entropy(o, t, reduction="none"))
    with pytest.raises(ArgumentError, match="class scores"):
        toy.run(None, model=nn.Sequential(nn.Linear(toy.FEATURES, 1), nn.Flatten(0)), loss=lambda o, t: o.sum())
    with pytest.raises(DataError, match="test got data without a single batch"):
        toy.run(None, test=[])
    stream = toy.Stream(toy.examples(40, 0))
    stream.examples.batch = lambda rows: torch.zeros(3)
    with pytest.raises(DataError, match=r"train expects \(inputs, targets\) pairs"):
        toy.run(None, stream=stream)
    assert list(tmp_path.iterdir()) == []


def test_a_torn_stop_before_the_first_step_can_be_resumed(toy, tmp_path):
    """Ctrl-C may come before anything has happened."""
    model, state = toy.net(), TrainingState()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loop = Loop(model, optimizer, toy.Stream(toy.examples(40, 0)), toy.plan(), cross_entropy, NoRule(), state, None, 1)
    stop = StopRequest()
    stop.made = True
    loop.advance(9, stop)
    assert (state.step, len(state.step_seconds)) == (0, 0)
