import json
import os
import signal
import subprocess
import sys

import pytest
import typer

from thresher.cli.work import work
from thresher.core.errors import StoreError, UnknownNameError
from thresher.experiments.points import grid
from thresher.experiments.queue import Queue
from thresher.experiments.store import Store

CHEAP = {"data": "digits", "model": "lenet-300-100", "budget": "6it", "batch_size": 32, "evaluate_every": "6it"}

app = typer.Typer()
app.command()(work)


@pytest.fixture
def store(tmp_path):
    return Store.open(tmp_path / "runs")


def call(capsys, *words):
    with pytest.raises(SystemExit) as stop:
        app(list(words))
    captured = capsys.readouterr()
    return stop.value.code or 0, captured.out, captured.err


def test_the_points_of_a_study_are_run_into_the_store(store, capsys):
    good, bad = grid(CHEAP, learning_rate=(0.05, 1e30))
    with Queue(store.queue_file, "mine") as queue:
        queue.enqueue((good, bad))
    code, out, err = call(capsys, "--store", str(store.path), "--study", "mine", "--json")
    assert code == 0
    summary = json.loads(out.splitlines()[-1])
    assert (summary["study"], summary["finished"], summary["failed"]) == ("mine", 1, 1)
    assert store.result(good) is not None
    lines = err.splitlines()
    assert f"{good.name} finished" in lines
    assert any(line.startswith(f"{bad.name} failed: ") for line in lines)
    assert "this worker finished 1, 1 failed; none is left" in lines[-1]


def test_a_worker_under_which_everything_fails_is_no_success(store, capsys):
    (bad,) = grid(CHEAP, learning_rate=(1e30,))
    with Queue(store.queue_file, "mine") as queue:
        queue.enqueue((bad,))
    words = ["--store", str(store.path), "--study", "mine", "--json"]
    code, out, _ = call(capsys, *words)
    assert (code, json.loads(out)["failed"]) == (1, 1)
    assert call(capsys, *words)[0] == 0  # there was nothing left to do


def test_the_storage_is_read_from_the_environment_and_its_password_kept(store, capsys, monkeypatch):
    monkeypatch.setenv("THRESHER_STORAGE", "postgresql://me:secret@127.0.0.1:1/db")

    def enough(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("thresher.experiments.database.random.uniform", enough)  # before it asks again
    pytest.importorskip("psycopg", reason="the extra 'postgres' is not installed")
    code, out, err = call(capsys, "--store", str(store.path))
    assert code == 130
    assert "the database postgresql://127.0.0.1:1/db does not answer" in err
    assert "secret" not in out + err


def test_a_mistyped_study_is_refused(store):
    with Queue(store.queue_file, "mine"):
        pass
    with pytest.raises(UnknownNameError, match="did you mean 'mine'"):
        app(["--store", str(store.path), "--study", "mien"], standalone_mode=False)


def test_a_foreign_store_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"notes\.txt"):
        app(["--store", str(tmp_path)], standalone_mode=False)


def test_ctrl_c_saves_the_training_and_gives_the_point_back(store):
    (recipe,) = grid({**CHEAP, "budget": "1000000it", "evaluate_every": "100it"})
    with Queue(store.queue_file) as queue:
        queue.enqueue([recipe])
    words = ["work", "--store", str(store.path), "--checkpoint-every", "50", "--allow-mixed-code"]
    process = subprocess.Popen([sys.executable, "-m", "thresher", *words], stderr=subprocess.PIPE, text=True)
    try:
        metrics = store.directory(recipe) / "metrics.jsonl"
        while not (metrics.exists() and metrics.stat().st_size):
            assert process.poll() is None
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "stopped after step" in err
    assert (store.directory(recipe) / "checkpoint.pt").exists()
    with Queue(store.queue_file, allow_mixed_code=True) as queue:
        (point,) = queue.points().values()
    assert [attempt.state for attempt in point.attempts] == ["returned", "waiting"]
