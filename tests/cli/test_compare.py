"""`thresher compare`: what runs, what is said, what is left behind, and that it goes on where it was."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from rich.console import Console
from typer.testing import CliRunner

from thresher.cli.crew import crew
from thresher.cli.live_table import LiveTable
from thresher.cli.main import app
from thresher.core.errors import ArgumentError, StoreError, ThresherError
from thresher.experiments.comparison import comparison
from thresher.experiments.queue import Queue
from thresher.experiments.store import Store
from thresher.experiments.worker import WorkEvent

SMALL = ["compare", "--data", "digits", "--model", "lenet-300-100", "--methods", "random,snip", "--seeds", "2"]
SMALL += ["--sparsities", "0.9,0.98", "--set", "engine=masked", "--threads", "1", "--no-download"]


def call(*words):
    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_study_is_run_once_and_its_numbers_are_those_of_the_results(here):
    first = call(*SMALL, "--steps", "4", "--out", "study", "--json")
    said = json.loads(first.stdout.splitlines()[-1])
    assert (said["runs"], said["finished"], said["failed"]) == (10, 10, 0)
    store = Store.open("runs")
    times = {run.name: run.path.joinpath("result.json").stat().st_mtime_ns for run in store.runs()}
    assert len(times) == 10
    rows = list(csv.DictReader(io.StringIO((here / "study" / "study.csv").read_text())))
    assert {(row["label"], row["sparsity"]) for row in rows} == {
        ("dense", "0.0"), ("random", "0.9"), ("random", "0.98"), ("snip", "0.9"), ("snip", "0.98"),
    }  # fmt: skip
    recipes = [r.recipe for r in store.runs() if (r.recipe.method, r.recipe.sparsity) == ("snip", 0.98)]
    errors = [store.result(recipe)["test_error_final_pct"] for recipe in recipes]
    snip = next(row for row in rows if (row["label"], row["sparsity"]) == ("snip", "0.98"))
    assert float(snip["error.mean"]) == pytest.approx(sum(errors) / 2)
    for name in ("study.html", "study.json", "study.md", "study.tex"):
        assert "snip" in (here / "study" / name).read_text()
    # once more, with a third seed: what is there stays as it is, and the study is the same
    again = call(*SMALL[:-3], "--threads", "1", "--steps", "4", "--seeds", "3", "--out", "study", "--json")
    assert json.loads(again.stdout.splitlines()[-1])["study"] == said["study"]
    assert len(Store.open("runs").runs()) == 15
    for name, when in times.items():
        assert (here / "runs" / name / "result.json").stat().st_mtime_ns == when


def test_people_get_a_table_with_what_failed_in_it(here):
    words = ["random" if word == "random,snip" else word for word in SMALL]
    result = call(*words, "--steps", "4", "--out", "study", "--set", "learning_rate=1e30")
    assert result.exit_code == 0
    assert "2 of 2 diverged (NaN or infinity)" in result.stdout
    assert "diverged: the loss is" in (here / "study" / "study.html").read_text()
    assert sum(run.status == "failed" for run in Store.open("runs").runs()) > 0


def test_a_crew_works_off_a_study_by_itself(here):
    recipes = comparison(["digits"], ["lenet-300-100"], ["random"], [0.9], 2, {"budget": "2it", "engine": "masked"})
    store = Store.open("runs")
    queue = Queue(store.queue_file, "by-others")
    queue.enqueue(recipes)
    log = here / "log"
    with crew(2, ["--study", "by-others", "--no-download", "--threads", "1"], log, None):
        deadline = time.monotonic() + 120
        while any(point.state != "finished" for point in queue.points().values()):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
    assert all(store.result(recipe) is not None for recipe in recipes)
    assert log.read_text().count(" started") >= 4


def test_ctrl_c_stops_the_crew_too_and_the_same_command_goes_on(here):
    words = [sys.executable, "-m", "thresher", *SMALL, "--steps", "3000", "--workers", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + 120
    log = here / "runs" / ".workers.log"
    while not (log.exists() and "started" in log.read_text()):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    # nobody is left at work: every directory can be locked
    assert all(run.status in ("unfinished", "finished") for run in Store.open("runs").runs())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "snpi"], "did you mean 'snip'"),
        (["--sparsities", "0.9;0.95"], "a list of fractions"),
        (["--set", "learning_rate"], "FIELD=VALUE"),
        (["--set", "learningrate=1"], "learningrate"),
        (["--measure", "accuracy"], "--measure is one of"),
        (["--epochs", "1", "--steps", "1"], "give one"),
        (["--data", "mnits"], "did you mean 'mnist'"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_starts(here, words, message):
    with pytest.raises(ArgumentError, match=message):
        call(*SMALL, *words)
    assert not (here / "runs").exists()


def test_a_folder_of_something_else_is_no_store(here):
    (here / "photos").mkdir()
    (here / "photos" / "cat.txt").write_text("miaow")
    with pytest.raises(StoreError, match="photos is no store of runs"):
        call(*SMALL, "--store", "photos")


def finished(store, recipe, error):
    directory = store.directory(recipe)
    directory.mkdir()
    directory.joinpath("recipe.json").write_text(recipe.to_json())
    directory.joinpath("result.json").write_text(json.dumps({"test_error_final_pct": error}))


def test_the_live_table_counts_what_anybody_finished(tmp_path):
    store = Store.open(tmp_path / "runs")
    recipes = comparison(["digits"], ["lenet-300-100"], ["snip"], [0.9], seeds=3)
    screen = Console(file=io.StringIO(), force_terminal=False, width=100)
    now = [0.0]
    with LiveTable(recipes, store, console=screen, clock=lambda: now[0]) as table:
        finished(store, recipes[1], 4.0)
        finished(store, recipes[3], 6.0)
        store.record_failure(recipes[5], ThresherError("no luck"))
        now[0] = 30.0
        table.on_event(WorkEvent("finished", "one finished", recipes[3]))
        out = Console(file=io.StringIO(), width=100)
        out.print(table.drawn())
    text = out.file.getvalue()
    assert "5.00 %  2/3, 1 failed" in text
    assert "0/3" in text  # dense
    assert "3 of 6 runs, 0:00:30 left" in text
    assert "[3/6] one finished" in screen.file.getvalue()
