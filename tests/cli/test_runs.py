import csv
import dataclasses
import json
import sys

import pytest

from thresher.cli.runs import runs
from thresher.core.errors import ArgumentError, MissingExtraError, NonFiniteError, StoreError, UnknownNameError
from thresher.experiments import Recipe, run
from thresher.experiments.run_directory import open_run
from thresher.experiments.store import Store

SMALL = Recipe(
    data="digits",
    model="lenet-300-100",
    method="snip",
    sparsity=0.9,
    engine="masked",
    budget="6it",
    batch_size=32,
    evaluate_every="2it",
    protect=("last",),
)
FAILED, BEGUN = (dataclasses.replace(SMALL, seed=seed) for seed in (1, 2))


@pytest.fixture
def store(tmp_path):
    store = Store.open(tmp_path / "runs")
    run(SMALL, store.directory(SMALL))
    store.record_failure(FAILED, NonFiniteError("the loss is nan at step 3"))
    with open_run(store.directory(BEGUN), BEGUN, resume=True):
        pass
    return store


@pytest.fixture
def call(capsys, store):
    def call(*words):
        with pytest.raises(SystemExit) as stop:
            runs([*words, "--store", str(store.path)])
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return call


def rows_of(out):
    return json.loads(out.splitlines()[-1])


def test_the_list_has_every_run_and_the_space_it_takes(call, store):
    code, out, _ = call("list")
    flat = "".join(out.split())
    assert code == 0
    for recipe, state in ((SMALL, "finished"), (FAILED, "failed"), (BEGUN, "unfinished")):
        assert recipe.name in flat
        assert state in flat
    assert f"{store.result(SMALL)['test_error_final_pct']:.2f}%" in flat
    assert f"{FAILED.name}: NonFiniteError: the loss is nan at step 3" in out
    assert "3 runs, " in out


def test_the_list_for_machines(call, store):
    code, out, _ = call("list", "--json")
    listed = rows_of(out)
    assert code == 0
    assert [row["status"] for row in listed["runs"]] == ["finished", "failed", "unfinished"]
    assert listed["bytes"] == sum(row["bytes"] for row in listed["runs"])
    assert listed["bytes"] == sum(f.stat().st_size for f in store.path.glob("*/*"))
    first = listed["runs"][0]
    assert first["test_error_pct"] == store.result(SMALL)["test_error_final_pct"]
    assert (first["recipe.method"], first["recipe.sparsity"], first["recipe.protect"]) == ("snip", 0.9, ["last"])


@pytest.mark.parametrize("command", ["list", "show x", "rm x --yes", "export a.csv"])
def test_a_store_that_is_not_there_is_not_made(tmp_path, command):
    with pytest.raises(StoreError, match="there is no store at"):
        runs([*command.split(), "--store", str(tmp_path / "absent")], standalone_mode=False)
    assert not (tmp_path / "absent").exists()


def test_show_tells_a_finished_run_by_its_result(call, store):
    _, out, _ = call("show", SMALL.name)
    assert "finished" in out
    assert f"{store.result(SMALL)['test_error_final_pct']:.2f} %" in out
    _, out, _ = call("show", SMALL.name, "--json")
    assert rows_of(out)["result"] == store.result(SMALL)


def test_show_tells_why_a_run_failed_and_how_to_go_on_with_one_that_is_unfinished(call, store):
    assert "the loss is nan at step 3" in call("show", "digits-lenet-300-100-snip-0.9-seed1")[1]
    out = call("show", BEGUN.name)[1]
    assert f"thresher train --out {store.directory(BEGUN)} --resume" in out


def test_a_name_is_a_unique_beginning_or_refused_with_the_near_miss(store):
    arguments = ["--store", str(store.path)]
    with pytest.raises(ArgumentError, match="3 runs begin with 'digits'"):
        runs(["show", "digits", *arguments], standalone_mode=False)
    with pytest.raises(UnknownNameError, match=f"did you mean '{FAILED.name}'"):
        runs(["show", FAILED.name.replace("snip", "snpi"), *arguments], standalone_mode=False)


def test_rm_asks_and_takes_no_for_an_answer(call, store, monkeypatch):
    answers = iter(["n\n", "y\n"])

    class Terminal:
        def readline(self, *_):
            return next(answers)

    monkeypatch.setattr(sys, "stdin", Terminal())
    code, _, err = call("rm", FAILED.name)
    assert code != 0
    assert f"Delete 1 run from {store.path}, " in err
    assert len(store.runs()) == 3
    code, out, _ = call("rm", FAILED.name)
    assert code == 0
    assert "deleted 1 run, " in out
    assert {stored.recipe for stored in store.runs()} == {SMALL, BEGUN}


def test_rm_deletes_all_that_are_named_or_none(call, store):
    with pytest.raises(UnknownNameError):
        runs(["rm", SMALL.name, "no-such-run", "--yes", "--store", str(store.path)], standalone_mode=False)
    assert len(store.runs()) == 3
    code, out, _ = call("rm", SMALL.name, FAILED.name, SMALL.name, "--yes", "--json")
    assert code == 0
    assert rows_of(out)["deleted"] == [SMALL.name, FAILED.name]
    assert [stored.recipe for stored in store.runs()] == [BEGUN]


def test_export_writes_one_row_per_run(call, store, tmp_path):
    assert call("export", str(tmp_path / "runs.csv"))[0] == 0
    assert call("export", str(tmp_path / "runs.json"))[0] == 0
    rows = list(csv.DictReader((tmp_path / "runs.csv").read_text().splitlines()))
    objects = json.loads((tmp_path / "runs.json").read_text())
    result = store.result(SMALL)
    assert [row["status"] for row in rows] == [o["status"] for o in objects] == ["finished", "failed", "unfinished"]
    assert (rows[0]["result.kept"], rows[0]["recipe.protect"]) == (str(result["kept"]), "last")
    assert float(rows[0]["result.test_error_best_pct"]) == result["test_error_best_pct"]
    assert (objects[0]["result.kept"], objects[0]["recipe.protect"]) == (result["kept"], ["last"])
    assert rows[1]["problem"] == objects[1]["problem"] == "NonFiniteError: the loss is nan at step 3"
    assert rows[1]["result.kept"] == ""


def test_export_of_an_empty_store(call, store, tmp_path):
    for stored in store.runs():
        store.remove(stored.name)
    assert call("export", str(tmp_path / "runs.csv"))[0] == 0
    assert list(csv.reader((tmp_path / "runs.csv").read_text().splitlines())) == [["name"]]


@pytest.mark.parametrize("words", [(), ("runs.xlsx",)])
def test_an_export_says_where_to_and_how(store, words):
    with pytest.raises(ArgumentError, match=r"\.csv"):
        runs(["export", *words, "--store", str(store.path)], standalone_mode=False)


def test_tensorboard_gets_the_learning_curves(call, store, tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="the extra 'tensorboard' is not installed"
    )
    rows = [json.loads(line) for line in (store.directory(SMALL) / "metrics.jsonl").read_text().splitlines()]
    for _ in range(2):  # the second replaces the first
        assert call("export", "--tensorboard", str(tmp_path / "events"))[0] == 0
    events = accumulator.EventAccumulator(str(tmp_path / "events" / SMALL.name))
    events.Reload()
    for name in ("train_loss", "test_error_pct", "learning_rate"):
        assert [event.step for event in events.Scalars(name)] == [2, 4, 6]
        assert [event.value for event in events.Scalars(name)] == pytest.approx([row[name] for row in rows])
    assert set(events.Tags()["scalars"]) == set(rows[0]) - {"step", "epoch"}
    assert not list((tmp_path / "events" / BEGUN.name).glob("*"))


def test_without_tensorboard_the_extra_is_named(store, tmp_path, monkeypatch):
    for name in ("torch.utils.tensorboard", "tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"thresher\[tensorboard\]"):
        runs(["export", "--tensorboard", str(tmp_path / "events"), "--store", str(store.path)], standalone_mode=False)
