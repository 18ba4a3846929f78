import dataclasses
import json
import multiprocessing

import pytest

from thresher.core.errors import ArgumentError, NonFiniteError, RunDirectoryError, StoreError, UnknownNameError
from thresher.experiments import run
from thresher.experiments.environment import code_hash
from thresher.experiments.run_directory import open_run
from thresher.experiments.store import Store


@pytest.fixture
def store(tmp_path):
    return Store.open(tmp_path / "runs")


def begin(store, recipe, files=("recipe.json",)):
    """A run directory as `run` leaves it early on."""
    path = store.directory(recipe)
    with open_run(path, recipe, resume=True):
        for name in files:
            if name != "recipe.json":
                (path / name).write_bytes(b"x" * 100)
    return path


def finish(store, recipe):
    result = {
        "environment": {"started": "2026-01-02T03:04:05+00:00", "code": "c0de"},
        "test_error_final_pct": 1.5,
    }
    (begin(store, recipe) / "result.json").write_text(json.dumps(result))
    return result


def test_a_run_is_found_by_its_recipe(store, small):
    assert store.result(small) is None
    result = run(small, store.directory(small))
    assert store.directory(small) == store.path / small.name
    assert Store.open(store.path).result(small) == result
    (stored,) = store.runs()
    assert (stored.name, stored.path, stored.status, stored.recipe) == (
        small.name,
        store.directory(small),
        "finished",
        small,
    )
    assert (stored.code, stored.test_error_pct) == (code_hash(), result["test_error_final_pct"])
    assert stored.started == result["environment"]["started"]
    assert stored.size == sum(file.stat().st_size for file in store.directory(small).iterdir())


def test_opening_makes_a_marked_folder_and_leaves_it_as_it_is(tmp_path):
    Store.open(tmp_path / "a" / "b")
    marker = tmp_path / "a" / "b" / "store.json"
    assert json.loads(marker.read_text()) == {"format": 1}
    before = marker.stat().st_mtime_ns
    Store.open(tmp_path / "a" / "b")
    assert marker.stat().st_mtime_ns == before


def test_a_folder_of_runs_from_before_there_were_stores_is_taken_over(tmp_path, small):
    old = Store(tmp_path / "runs")
    finish(old, small)
    (old.path / "bench-20260101-120000").mkdir()
    (old.path / "bench-20260101-120000" / "bench.json").write_text("{}")
    (old.path / "demo" / "seed0" / "snip").mkdir(parents=True)
    (old.path / "demo" / "seed0" / "snip" / "recipe.json").write_text(small.to_json())
    (old.path / "begun").mkdir()
    (old.path / "begun" / ".lock").touch()
    store = Store.open(old.path)
    assert [run.name for run in store.runs()] == [small.name]
    assert (store.path / "store.json").exists()


@pytest.mark.parametrize("stranger", ["events.out.tfevents.1", "photos/cat.jpg", "demo/seed0/notes.txt"])
def test_a_foreign_folder_is_refused_and_untouched(tmp_path, stranger, small):
    finish(Store(tmp_path), small)
    (tmp_path / stranger).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / stranger).write_text("mine")
    with pytest.raises(StoreError, match=f"holds {stranger.partition('/')[0]}.*choose another folder"):
        Store.open(tmp_path)
    assert not (tmp_path / "store.json").exists()


def test_strangers_in_a_marked_store_do_no_harm(store, small):
    finish(store, small)
    (store.path / "notes.txt").write_text("mine")
    (store.path / "page").mkdir()
    assert [run.name for run in Store.open(store.path).runs()] == [small.name]


def test_a_newer_store_is_refused(store):
    (store.path / "store.json").write_text('{"format": 2}')
    with pytest.raises(StoreError, match=r"newer version of thresher \(format 2, known here: 1\): upgrade"):
        Store.open(store.path)
    with pytest.raises(StoreError, match="newer"):
        Store.open(store.path, create=False)


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1}', '{"format": "one"}'])
def test_a_broken_marker_is_refused(store, text):
    (store.path / "store.json").write_text(text)
    with pytest.raises(StoreError, match=r"store\.json does not say what kind of store this is"):
        Store.open(store.path)


def test_what_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "runs"):
        with pytest.raises(StoreError, match=r"cannot write to the store .*file.*choose another folder"):
            Store.open(path)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_without_permission_to_write_is_refused_but_read(store, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(StoreError, match="permission denied"):
        Store.open(store.path)
    assert Store.open(store.path, create=False).runs() == ()


def test_reading_makes_nothing(tmp_path, small):
    with pytest.raises(StoreError, match="there is no store at"):
        Store.open(tmp_path / "runs", create=False)
    assert not (tmp_path / "runs").exists()
    finish(Store(tmp_path / "runs"), small)
    assert len(Store.open(tmp_path / "runs", create=False).runs()) == 1
    assert not (tmp_path / "runs" / "store.json").exists()


def test_every_state_a_run_can_be_in(store, small):
    recipes = [dataclasses.replace(small, seed=seed) for seed in range(5)]
    finish(store, recipes[0])
    store.record_failure(recipes[1], NonFiniteError("the loss is nan"))
    begin(store, recipes[2], ("recipe.json", "checkpoint.pt"))
    begin(store, recipes[4])
    with open_run(store.directory(recipes[3]), recipes[3], resume=True):
        runs = store.runs()
        assert [store.in_use(recipe) for recipe in recipes] == [False, False, False, True, False]
    assert [run.recipe for run in runs] == sorted(recipes, key=lambda recipe: recipe.name)
    by_seed = {run.recipe.seed: run for run in runs}
    assert [by_seed[seed].status for seed in range(5)] == ["finished", "failed", "unfinished", "running", "unfinished"]
    assert (by_seed[0].test_error_pct, by_seed[0].code, by_seed[0].started) == (
        1.5,
        "c0de",
        "2026-01-02T03:04:05+00:00",
    )
    assert (by_seed[1].problem, by_seed[1].code) == ("NonFiniteError: the loss is nan", code_hash())
    assert by_seed[2].size == 100 + len(small.to_json())
    assert {by_seed[seed].problem for seed in (0, 2, 3, 4)} == {None}


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("recipe.json", "{", "is not a recipe of this version"),
        ("recipe.json", '{"data": "digits", "model": "no-such-model"}', "no-such-model"),
        ("recipe.json", None, r"recipe\.json is not there"),
        ("result.json", "{", "is not readable JSON"),
        ("result.json", "{}", "incomplete"),
        ("result.json", "[]", "incomplete"),
        ("failure.json", "", "is not readable JSON"),
        ("failure.json", "{}", "incomplete"),
    ],
)
def test_a_broken_directory_is_listed_with_what_is_wrong(store, small, file, text, problem):
    other = dataclasses.replace(small, seed=1)
    finish(store, other)
    path = begin(store, small, ("recipe.json", "checkpoint.pt"))
    if text is None:
        (path / file).unlink()
    else:
        (path / file).write_text(text)
    broken, whole = store.runs()
    assert (broken.status, broken.recipe, whole.status) == ("unreadable", None, "finished")
    with pytest.raises(AssertionError, match=problem):
        raise AssertionError(broken.problem)


def test_a_failure_is_kept_until_the_run_succeeds(store, small):
    assert store.failure(small) is None
    store.record_failure(small, NonFiniteError("once"))
    store.record_failure(small, ValueError("twice"))
    failure = store.failure(small)
    assert (failure["type"], failure["message"]) == ("ValueError", "twice")
    assert failure["environment"]["code"] == code_hash()
    run(small, store.directory(small), resume=True)  # the record is in nobody's way
    assert store.failure(small) is None
    assert store.runs()[0].status == "finished"
    store.clear_failure(small)
    store.clear_failure(small)
    assert not (store.directory(small) / "failure.json").exists()


def test_a_run_is_removed_whole(store, small):
    other = dataclasses.replace(small, seed=1)
    finish(store, small)
    finish(store, other)
    left = store.path / ".removed-by-a-killed-process"
    left.mkdir()
    (left / "model.safetensors").touch()
    store.remove(small.name)
    assert {path.name for path in store.path.iterdir()} == {"store.json", other.name}
    with pytest.raises(UnknownNameError, match=f"did you mean '{other.name}'"):
        store.remove(small.name)


def test_a_kill_while_removing_leaves_no_half_run(store, small, monkeypatch):
    finish(store, small)

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        store.remove(small.name)
    assert store.runs() == ()
    assert not store.directory(small).exists()


@pytest.mark.parametrize("name", ["..", ".", "", "../outside", "store.json", ".lock"])
def test_only_runs_are_removed(store, small, name):
    finish(Store(store.path.parent / "outside"), small)
    finish(store, small)
    with pytest.raises(UnknownNameError):
        store.remove(name)
    assert len(store.runs()) == 1


def _hold(path, recipe, held, end):
    with open_run(path, recipe, resume=True):
        held.set()
        end.wait()


def test_a_running_run_is_not_removed(store, small):
    spawn = multiprocessing.get_context("spawn")
    held, end = spawn.Event(), spawn.Event()
    other = spawn.Process(target=_hold, args=(store.directory(small), small, held, end))
    other.start()
    try:
        assert held.wait(60)
        assert store.runs()[0].status == "running"
        with pytest.raises(RunDirectoryError, match="is running: stop it"):
            store.remove(small.name)
        assert store.directory(small).exists()
    finally:
        end.set()
        other.join()
    store.remove(small.name)
    assert store.runs() == ()


def test_a_run_is_found_by_as_much_of_its_name_as_is_unique(store, small):
    recipes = [dataclasses.replace(small, sparsity=sparsity) for sparsity in (0.9, 0.95)]
    for recipe in recipes:
        finish(store, recipe)
    assert store.find(recipes[0].name).recipe == recipes[0]
    assert store.find("digits-lenet-300-100-snip-0.95").recipe == recipes[1]
    with pytest.raises(ArgumentError, match=r"2 runs begin with 'digits-.*-snip-0\.9'.*say which"):
        store.find("digits-lenet-300-100-snip-0.9")
    with pytest.raises(UnknownNameError, match=f"did you mean '{recipes[1].name}'"):
        store.find("digit-lenet-snip-0.95")
    with pytest.raises(UnknownNameError):
        store.find("")
