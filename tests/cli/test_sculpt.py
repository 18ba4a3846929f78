"""`thresher sculpt`: what runs, what is compared with what, and what is left behind."""

import json
import os

import pytest
from typer.testing import CliRunner

from thresher.cli.main import app
from thresher.cli.study import counts, listed, recipe_fields, study_name
from thresher.core.errors import ArgumentError
from thresher.experiments import StudyRun, sculptures
from thresher.experiments.store import Store

DENSE = ["sculpt", "--base", "mlp-3-relu", "--data", "digits", "--threads", "1", "--no-download"]
SMALL = [*DENSE, "--bulky", "mlp-5-relu,lenet-300-100", "--set", "engine=masked", "--steps", "4", "--out", "here"]


def call(*words):
    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_network_has_the_size_of_the_base_and_is_held_against_it(folder):
    said = json.loads(call(*SMALL, "--seeds", "2", "--json").stdout.splitlines()[-1])
    assert (said["runs"], said["finished"], said["failed"]) == (6, 6, 0)
    store = Store.open("runs")
    assert len(store.runs()) == 6
    errors, sizes = {}, set()
    for run in store.runs():
        result = store.result(run.recipe)
        errors.setdefault(run.recipe.model, {})[run.recipe.seed] = result["test_error_final_pct"]
        weights = {"mlp-3-relu": 17_400, "mlp-5-relu": 37_400, "lenet-300-100": 50_200}[run.recipe.model]
        biases = {"mlp-3-relu": 210, "mlp-5-relu": 410, "lenet-300-100": 410}[run.recipe.model]
        assert result["prunable"] == weights
        sizes.add(result["kept"] + biases)
    assert sizes == {17_610}
    base, *others = said["networks"]
    assert (base["model"], base["sparsity"], base["parameters"], base["verdict"]) == ("mlp-3-relu", 0.0, 17_610, None)
    assert [other["model"] for other in others] == ["mlp-5-relu", "lenet-300-100"]
    for other in others:
        mine, plain = errors[other["model"]], errors["mlp-3-relu"]
        assert other["error_mean"] == pytest.approx(sum(mine.values()) / 2)
        assert other["difference_mean"] == pytest.approx(sum(mine[s] - plain[s] for s in (0, 1)) / 2)
    page = (folder / "here" / "study.html").read_text()
    assert "17,610 parameters each, on digits." in page
    assert "difference to mlp-3-relu" in page
    assert (folder / "here" / "study.csv").exists()
    # nothing is run twice, and people get the table
    times = [(run.path / "result.json").stat().st_mtime_ns for run in store.runs()]
    shown = call(*SMALL, "--seeds", "2").stdout
    assert "lenet-300-100" in shown
    assert "difference to mlp-3-relu" in shown
    assert [(run.path / "result.json").stat().st_mtime_ns for run in store.runs()] == times


def test_without_a_finished_run_there_is_nothing_to_hold_against_and_the_exit_code_says_so():
    result = call(*SMALL, "--seeds", "1", "--set", "learning_rate=1e30", "--json")
    assert result.exit_code == 1
    said = json.loads(result.stdout.splitlines()[-1])
    assert (said["finished"], said["failed"]) == (0, 3)
    assert {(network["error_mean"], network["difference_mean"]) for network in said["networks"]} == {(None, None)}
    assert "nothing was measured" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*DENSE, "--bulky", "mlp-3-relu"), "sculpting starts from more"),
        ((*DENSE, "--bulky", ","), "name at least one"),
        ((*DENSE, "--bulky", "mlp-5-relo"), "did you mean 'relu'"),
        ((*SMALL, "--set", "sparsity=0.5"), "sparsity follows from the networks"),
        ((*SMALL, "--epochs", "3"), "--epochs and --steps both"),
        ((*SMALL, "--measure", "best"), "--measure is one of"),
        ((*SMALL, "--seeds", "0"), "at least one seed"),
    ],
)
def test_what_cannot_be_sculpted_is_said_before_anything_is_written(words, message):
    with pytest.raises(ArgumentError, match=message):
        call(*words)
    assert os.listdir() == []


def test_fields_are_read_as_json_where_they_can_be():
    settings = ["learning_rate=0.05", "augment=true", 'protect=["first"]', "score_data=null", "initializer=normal:0.01"]
    assert recipe_fields(2, None, settings) == {
        "budget": "2ep",
        "learning_rate": 0.05,
        "augment": True,
        "protect": ("first",),
        "score_data": None,
        "initializer": "normal:0.01",
    }
    with pytest.raises(ArgumentError, match="FIELD=VALUE"):
        recipe_fields(None, None, ["augment"])
    assert listed(" a, b,,") == ["a", "b"]


def test_a_study_has_one_name_however_many_seeds_and_another_for_other_points():
    one, two = (sculptures("mlp-3", ["mlp-5"], "mnist", seeds) for seeds in (1, 2))
    assert study_name("sculpt", one) == study_name("sculpt", reversed(two))
    assert study_name("sculpt", one) != study_name("sculpt", sculptures("mlp-3", ["mlp-7"], "mnist"))


def test_runs_are_counted_by_what_became_of_them():
    dense, pruned = sculptures("mlp-3", ["mlp-5"], "mnist")
    runs = [
        StudyRun(dense, result={"collapse": {}}),
        StudyRun(pruned, result={"collapse": {"disconnected": True}}),
        StudyRun(pruned, failure={"type": "DataError"}),
        StudyRun(pruned),
    ]
    assert counts(runs) == {"runs": 4, "finished": 2, "failed": 1, "collapsed": 1}
