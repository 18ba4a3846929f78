"""kill -9 and a full disk: the last complete checkpoint is there and the run goes on from it."""

import signal

import torch


def saved_step(run_dir):
    return torch.load(run_dir / "checkpoint.pt", weights_only=True)["parts"]["progress"]["step"]


def check_resumed(toy, same, run_dir, whole):
    toy.run(run_dir, resume=True, seed=9)
    toy.run(whole)
    assert (run_dir / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    assert same(toy.final_state(run_dir), toy.final_state(whole))


def test_killed_while_a_checkpoint_is_being_written(toy, same, spawn, tmp_path):
    run_dir = tmp_path / "killed"
    process = spawn(run_dir, "killed")
    said = process.communicate(timeout=60)[0]
    assert process.returncode == -signal.SIGKILL, said
    # the row of step 18 is there, its checkpoint is a temporary file
    assert len((run_dir / "metrics.jsonl").read_text().splitlines()) == 2
    assert len(list(run_dir.glob(".checkpoint.pt.*"))) == 1
    assert saved_step(run_dir) == 12
    check_resumed(toy, same, run_dir, tmp_path / "whole")


def test_a_full_disk_leaves_the_checkpoint_before(toy, same, spawn, tmp_path):
    run_dir = tmp_path / "full"
    process = spawn(run_dir, "full")
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 3, said
    assert said.startswith("RunDirectoryError cannot write")
    assert "what was there before is untouched" in said
    assert saved_step(run_dir) == 6
    assert sorted(path.name for path in run_dir.iterdir()) == ["checkpoint.pt", "metrics.jsonl"]
    check_resumed(toy, same, run_dir, tmp_path / "whole")
