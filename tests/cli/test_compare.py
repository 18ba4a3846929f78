"""`thresher compare`: what runs, what is said, what is left behind, and that it goes on where it was."""

import csv
import io
import json
import os
import re
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
from thresher.core.errors import ArgumentError, MixedCodeError, NonFiniteError, StoreError, ThresherError
from thresher.experiments.comparison import comparison
from thresher.experiments.points import grid
from thresher.experiments.queue import Queue
from thresher.experiments.store import Store
from thresher.experiments.worker import WorkEvent

SMALL = ["compare", "--data", "digits", "--model", "lenet-300-100", "--methods", "random,snip", "--seeds", "2"]
SMALL += ["--sparsities", "0.9,0.98", "--set", "engine=masked", "--threads", "1", "--no-download"]


FIELDS = {"budget": "4it", "engine": "masked"}


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
    words = ["random" if word == "random,snip" else word for word in SMALL] + ["--steps", "4", "--out", "study"]
    store = Store.open("runs")
    call(*words)
    for name in [run.name for run in store.runs() if run.recipe.method == "random"]:
        store.remove(name)
    for recipe in comparison(["digits"], ["lenet-300-100"], ["random"], [0.9, 0.98], 2, FIELDS):
        if recipe.method == "random":
            store.record_failure(recipe, NonFiniteError("the loss is nan"))
    result = call(*words)
    assert result.exit_code == 0
    assert "2 of 2 diverged (NaN or infinity)" in result.stdout
    study = re.search(r"study '(.*?)': 6 runs, 2 of them finished; thresher work --study \1 lends", result.stderr)[1]
    assert call("work", "--study", study, "--allow-mixed-code").exit_code == 0
    assert "4 of 6 runs failed (NonFiniteError 4)" in result.stderr
    assert "diverged: the loss is nan" in (here / "study" / "study.html").read_text()


def test_a_study_of_which_nothing_finishes_is_no_success(here):
    words = [*SMALL, "--steps", "4", "--set", "learning_rate=1e30"]
    words[words.index("--seeds") + 1] = "1"
    result = call(*words, "--json")
    assert result.exit_code == 1
    said = json.loads(result.stdout.splitlines()[-1])
    assert (said["finished"], said["failed"]) == (0, 5)
    assert "5 of 5 runs failed (NonFiniteError 5): the page says why; --again runs them anew" in result.stderr
    assert result.stderr.splitlines()[-1] == "nothing was measured"
    assert (here / "compared" / said["study"] / "study.html").exists()


def test_mixed_code_is_refused_with_the_option_that_allows_it(here):
    with Queue(Store.open("runs").queue_file, "mine", code="of somebody else"):
        pass
    for words in ([*SMALL, "--steps", "4"], ["work"]):
        with pytest.raises(MixedCodeError, match=r"'mine' was begun by another version.*--allow-mixed-code"):
            call(*words, "--study", "mine")
    assert Store.open("runs").runs() == ()


def test_a_crew_works_off_a_study_by_itself(here):
    recipes = comparison(["digits"], ["lenet-300-100"], ["random"], [0.9], 2, {"budget": "2it", "engine": "masked"})
    store = Store.open("runs")
    queue = Queue(store.queue_file, "by-others")
    queue.enqueue(recipes)
    log, said = here / "log", []
    words = ["--study", "by-others", "--no-download", "--threads", "1", "--allow-mixed-code"]
    with crew(2, words, log, None, said.append):
        deadline = time.monotonic() + 120
        while any(point.state != "finished" for point in queue.points().values()):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
    assert all(store.result(recipe) is not None for recipe in recipes)
    assert log.read_text().count(" started") >= 4
    assert said == []


def test_a_crew_that_cannot_work_is_spoken_of(here):
    Queue(Store.open("runs").queue_file, "mine").close()
    log, said = here / "log", []
    with crew(1, ["--study", "mien", "--allow-mixed-code"], log, None, said.append) as (worker,):
        worker.wait(timeout=120)
    assert "did you mean 'mine'" in log.read_text()
    assert said == [f"1 of 1 further workers ended with an error: see {log}"]


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
    assert "the same command goes on from here" in said
    # nobody is left at work: every directory can be locked
    assert all(run.status in ("unfinished", "finished") for run in Store.open("runs").runs())


def test_the_crew_of_a_killed_command_saves_what_it_is_at_and_stops(here):
    (recipe,) = grid({"data": "digits", "model": "lenet-300-100", "budget": "1000000it", "evaluate_every": "100it"})
    store = Store.open("runs")
    with Queue(store.queue_file, "mine") as queue:
        queue.enqueue([recipe])
    program = (
        "import sys, threading; from pathlib import Path; from thresher.cli.crew import crew\n"
        "with crew(1, sys.argv[1:], Path('log'), None, print): threading.Event().wait()"
    )
    words = ["--study", "mine", "--allow-mixed-code", "--no-download", "--threads", "1"]
    process = subprocess.Popen([sys.executable, "-c", program, *words])
    try:
        deadline, metrics = time.monotonic() + 120, store.directory(recipe) / "metrics.jsonl"
        while not (metrics.exists() and metrics.stat().st_size):
            assert process.poll() is None
            assert time.monotonic() < deadline, (here / "log").read_text()
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()
    deadline = time.monotonic() + 120
    while "stopped after step" not in (here / "log").read_text():
        assert time.monotonic() < deadline, (here / "log").read_text()
        time.sleep(0.1)
    assert not store.in_use(recipe)
    assert store.directory(recipe).joinpath("checkpoint.pt").exists()


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
