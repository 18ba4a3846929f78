"""Stopped anywhere and resumed, a run ends bit-identical to one that was never stopped."""

import random
import signal

import pytest
import torch

from thresher.core.errors import FileFormatError, RunDirectoryError
from thresher.training import Interrupted


def stop_at(step):
    """A callback that presses Ctrl-C right after `step`, before the evaluation if one is due there."""

    def callback(progress):
        if progress.step == step and (progress.row is None or progress.row["step"] < step):
            signal.raise_signal(signal.SIGINT)

    return callback


@pytest.fixture(scope="module")
def uninterrupted(toy, tmp_path_factory):
    """Optimizer, with "sparse" if the layers are, → run directory and outcome of a run in one go."""
    runs = {}
    for optimizer in ("momentum", "adam"):
        for kind, net in (("", toy.net), (" sparse", toy.sparse_net)):
            run_dir = tmp_path_factory.mktemp(optimizer)
            runs[optimizer + kind] = run_dir, toy.run(run_dir, plan=toy.plan(optimizer=optimizer), model=net())
    return runs


def check_equal(toy, same, run_dir, outcome, reference):
    expected_dir, expected = reference
    assert (run_dir / "metrics.jsonl").read_bytes() == (expected_dir / "metrics.jsonl").read_bytes()
    assert same(toy.final_state(run_dir), toy.final_state(expected_dir))
    assert outcome.rows == expected.rows


# 40 steps, 6 to an epoch (the last batch smaller), evaluated every 9, saved every 6
@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
@pytest.mark.parametrize("step", [1, 6, 9, 12, 18, 39, 40, *sorted(random.Random(0).sample(range(2, 39), 5))])
def test_stopped_once(optimizer, step, toy, same, uninterrupted, tmp_path):
    plan = toy.plan(optimizer=optimizer)
    with pytest.raises(Interrupted, match=rf"stopped after step {step} of 40; .*checkpoint.pt") as caught:
        toy.run(tmp_path, plan=plan, on_progress=stop_at(step))
    assert (caught.value.step, caught.value.path) == (step, tmp_path / "checkpoint.pt")
    # the resumed process has drawn something else from the global generator, and has a fresh net
    outcome = toy.run(tmp_path, plan=plan, resume=True, seed=99)
    check_equal(toy, same, tmp_path, outcome, uninterrupted[optimizer])


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
@pytest.mark.parametrize("step", [1, 12, 17])
def test_a_sparse_net_stopped_once(optimizer, step, toy, same, uninterrupted, tmp_path):
    plan = toy.plan(optimizer=optimizer)
    with pytest.raises(Interrupted):
        toy.run(tmp_path, plan=plan, on_progress=stop_at(step), model=toy.sparse_net())
    state = toy.final_state(tmp_path)
    assert state["model"]["0.weight"].shape == (16, toy.FEATURES)  # the dense key and shape,
    moments = state["optimizer"]["state"][0]
    assert [t.shape for t in moments.values() if t.numel() > 1] in ([(48,)], [(48,), (48,)])  # state of the kept alone
    outcome = toy.run(tmp_path, plan=plan, resume=True, seed=99, model=toy.sparse_net())
    check_equal(toy, same, tmp_path, outcome, uninterrupted[f"{optimizer} sparse"])


def test_stopped_again_and_again(toy, same, uninterrupted, tmp_path):
    for step, seed in ((2, 3), (3, 50), (9, 51), (10, 52), (26, 53)):
        with pytest.raises(Interrupted):
            toy.run(tmp_path, resume=True, seed=seed, on_progress=stop_at(step))
    check_equal(toy, same, tmp_path, toy.run(tmp_path, resume=True, seed=99), uninterrupted["momentum"])


def test_rows_and_a_torn_line_after_the_checkpoint_are_measured_again(toy, same, uninterrupted, tmp_path):
    with pytest.raises(Interrupted):
        toy.run(tmp_path, on_progress=stop_at(17))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 18, "epoch": 3.0}\n{"step": 27, "ep')
    check_equal(toy, same, tmp_path, toy.run(tmp_path, resume=True, seed=9), uninterrupted["momentum"])


def test_resuming_a_finished_run_does_nothing_but_tell(toy, same, uninterrupted):
    run_dir, expected = uninterrupted["momentum"]
    model = toy.net()
    again = toy.run(run_dir, resume=True, model=model, on_progress=pytest.fail)
    assert again.rows == expected.rows
    assert again.seconds_per_step == expected.seconds_per_step
    assert same(dict(model.state_dict()), toy.final_state(run_dir)["model"])


def test_resume_without_a_checkpoint_starts(toy, same, uninterrupted, tmp_path):
    check_equal(toy, same, tmp_path, toy.run(tmp_path, resume=True), uninterrupted["momentum"])


def test_work_is_not_overwritten_unasked(toy, uninterrupted):
    run_dir = uninterrupted["momentum"][0]
    before = {path.name: path.read_bytes() for path in run_dir.iterdir()}
    with pytest.raises(RunDirectoryError, match="resume it or choose another run directory"):
        toy.run(run_dir)
    with pytest.raises(FileFormatError, match=r"another recipe \(toy; this run is other\)"):
        toy.run(run_dir, resume=True, fingerprint="other")
    assert {path.name: path.read_bytes() for path in run_dir.iterdir()} == before


def test_the_default_fingerprint_is_the_plan(toy, tmp_path):
    toy.run(tmp_path, fingerprint=None)
    toy.run(tmp_path, fingerprint=None, resume=True)
    with pytest.raises(FileFormatError, match="another recipe"):
        toy.run(tmp_path, fingerprint=None, resume=True, plan=toy.plan(learning_rate=0.2))


class Counting:
    """A rule that changes: after every step it scales the weights by a factor that depends on how often."""

    def __init__(self):
        self.count = 0
        self.events = []

    def start(self, model, optimizer):
        self.events.append("start")
        self.weight = model[4].weight

    def after_step(self):
        self.count += 1
        with torch.no_grad():
            self.weight.mul_(1 - 0.01 * self.count)

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.events.append("load")
        self.count = state["count"]


def test_what_is_carried_comes_back_before_the_rule_starts(toy, same, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    rule = Counting()
    toy.run(whole, rule=rule, carry={"rule": rule})
    assert (rule.count, rule.events) == (40, ["start"])
    rule = Counting()
    with pytest.raises(Interrupted):
        toy.run(parts, rule=rule, carry={"rule": rule}, on_progress=stop_at(13))
    rule = Counting()
    toy.run(parts, rule=rule, carry={"rule": rule}, resume=True, seed=9)
    assert (rule.count, rule.events) == (40, ["load", "start"])
    assert same(toy.final_state(parts), toy.final_state(whole))
    with pytest.raises(FileFormatError, match="carry/rule, but this run consists of"):
        toy.run(whole, resume=True)
