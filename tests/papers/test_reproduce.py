import dataclasses
import sys

import pytest

from thresher.core.errors import ArgumentError, DataError, NonFiniteError, StoreError, UnknownNameError
from thresher.experiments.queue import Queue
from thresher.experiments.store import Store
from thresher.papers import recipes_of, reproduce
from thresher.papers.computation import Computation
from thresher.papers.published import Cell, Computed, Trained, everywhere
from thresher.training import Interrupted

MODULE, RUNNING = sys.modules["thresher.papers.reproduce"], sys.modules["thresher.papers.run_missing"]


def counted(monkeypatch, refuse=lambda recipe: None):
    """The names of the runs that are started from here on; `refuse` may raise instead."""
    started, train = [], RUNNING.run

    def run(recipe, *arguments, **settings):
        started.append(recipe.name)
        refuse(recipe)
        return train(recipe, *arguments, **settings)

    monkeypatch.setattr(RUNNING, "run", run)
    return started


def test_rows_are_what_the_runs_say(toy, tmp_path):
    found = reproduce(toy, budget="quick", store=tmp_path / "runs")
    store = Store.open(tmp_path / "runs")
    for row, cell in zip(found.rows[:2], toy.cells, strict=False):
        recipe = cell.work["quick"].recipe
        results = [store.result(dataclasses.replace(recipe, seed=seed)) for seed in (0, 1)]
        assert row.values == {seed: result["test_error_final_pct"] for seed, result in enumerate(results)}
    assert found.rows[2].verdict.words == "not run: not here"
    assert found.judgements[0].difference.n == 2


def test_the_first_seed_of_every_cell_comes_first_and_nothing_twice(toy):
    cells = (*toy.cells, dataclasses.replace(toy.cells[0], row="again"))
    recipes = recipes_of(cells, "quick", 2)
    assert [(recipe.seed, recipe.method) for recipe in recipes] == [
        (0, "dense"),
        (0, "magnitude"),
        (1, "dense"),
        (1, "magnitude"),
    ]


def test_what_is_in_the_store_is_not_run_again(toy, tmp_path, monkeypatch):
    first = reproduce(toy, budget="quick", seeds=1, store=tmp_path / "runs")
    started = counted(monkeypatch)
    again = reproduce(toy, budget="quick", seeds=1, store=tmp_path / "runs")
    assert started == []
    assert again.document() == first.document()
    reproduce(toy, budget="quick", seeds=2, store=tmp_path / "runs")
    assert len(started) == 2
    assert all("seed1" in name for name in started)


def test_what_is_stored_is_read_without_running_anything(toy, tmp_path, monkeypatch):
    whole = reproduce(toy, budget="quick", seeds=1, store=tmp_path / "runs", data_dir=tmp_path)
    started = counted(monkeypatch)
    monkeypatch.setattr(MODULE, "load", None)
    found = reproduce(toy, budget="quick", seeds=2, store=tmp_path / "runs", stored=True)
    assert started == []
    assert [row.values for row in found.rows] == [row.values for row in whole.rows]
    assert [row.missing for row in found.rows] == [{1: "not in the store"}, {1: "not in the store"}, {}]


def test_what_is_stored_is_all_that_is_known_of_computed_cells(toy, tmp_path):
    asked = []

    def numbers(seed, data_dir, download):
        asked.append(seed)
        return {"a": 10.0 + seed}

    work = everywhere(Computed(Computation(numbers, ()), "a"))
    table = dataclasses.replace(toy, cells=(Cell(row="r", column="c", work=work),), claims=())
    reproduce(table, budget="quick", seeds=1, store=tmp_path / "runs")
    (row,) = reproduce(table, budget="quick", seeds=2, store=tmp_path / "runs", stored=True).rows
    assert (row.values, row.missing, asked) == ({0: 10.0}, {1: "not in the store"}, [0])


def test_an_interruption_passes_and_the_same_call_goes_on(toy, tmp_path, monkeypatch):
    def stop(recipe):
        if recipe.method == "magnitude":
            raise Interrupted(tmp_path, 3, 6)

    with monkeypatch.context() as patch:
        counted(patch, stop)
        with pytest.raises(Interrupted):
            reproduce(toy, budget="quick", seeds=1, store=tmp_path / "runs")
    started = counted(monkeypatch)
    found = reproduce(toy, budget="quick", seeds=1, store=tmp_path / "runs")
    assert len(started) == 1
    assert all(row.values for row in found.rows[:2])


def test_a_run_that_fails_is_counted_kept_and_not_tried_again(toy, tmp_path, monkeypatch):
    def diverge(recipe):
        if recipe.method == "dense" and recipe.seed == 1:
            raise NonFiniteError("loss is NaN")

    started = counted(monkeypatch, diverge)
    events = []
    found = reproduce(toy, budget="quick", store=tmp_path / "runs", on_event=lambda event: events.append(event.kind))
    assert found.rows[0].missing == {1: "NonFiniteError: loss is NaN"}
    assert "1 of 2 seeds without a number" in found.rows[0].verdict.words
    assert found.judgements[0].difference.n == 1
    assert events.count("failed") == 1
    assert events.count("finished") == 3
    count = len(started)
    reproduce(toy, budget="quick", store=tmp_path / "runs")
    assert len(started) == count
    # another version of the code may do better
    monkeypatch.setattr(RUNNING, "code_hash", lambda: "another")
    reproduce(toy, budget="quick", store=tmp_path / "runs")
    assert len(started) == count + 1


def test_a_data_set_that_is_not_there_leaves_its_cells_not_run(toy, tmp_path, monkeypatch):
    work = Trained(dataclasses.replace(toy.cells[0].work["quick"].recipe, data="cifar-10", model="resnet-20"))
    started = counted(monkeypatch)
    table = dataclasses.replace(toy, cells=(dataclasses.replace(toy.cells[0], work=everywhere(work)), *toy.cells[1:]))
    found = reproduce(table, budget="quick", seeds=1, store=tmp_path / "runs", data_dir=tmp_path, download=False)
    assert found.rows[0].verdict.words == "not run: no cifar-10"
    assert "data_dir" in found.absent["cifar-10"]
    assert found.rows[1].values
    assert len(started) == 1
    assert found.judgements[0].kind == "not run"


def test_only_the_selected_rows_are_run_and_judged(toy, tmp_path, monkeypatch):
    started = counted(monkeypatch)
    found = reproduce(toy, budget="quick", seeds=1, store=tmp_path / "runs", only=["pruned"])
    assert [row.cell.row for row in found.rows] == ["pruned"]
    assert found.judgements == ()
    assert len(started) == 1


def test_collapse_is_counted(toy, tmp_path):
    gone = Trained(dataclasses.replace(toy.cells[1].work["quick"].recipe, sparsity=0.9999, on_collapse="ignore"))
    table = dataclasses.replace(toy, cells=(Cell(row="gone", column="error", work=everywhere(gone)),), claims=())
    found = reproduce(table, budget="quick", seeds=1, store=tmp_path / "runs")
    assert found.rows[0].collapsed == (0,)
    assert "1 of 1 seeds collapsed" in found.rows[0].verdict.words


def test_computed_cells_are_computed_once_and_may_have_nothing_to_say(toy, tmp_path):
    calls = []

    def measure(*, seed, data_dir, download, scale):
        calls.append(seed)
        if seed == 2:
            raise DataError("cut short")
        return {"a": scale * (1.0 + seed)}

    computation = Computation(measure, (("scale", 10.0),))
    cells = tuple(
        Cell(row=key, column="x", work=everywhere(Computed(computation, key, "no b here"))) for key in ("a", "b")
    )
    table = dataclasses.replace(toy, cells=cells, claims=())
    for _ in range(2):
        found = reproduce(table, budget="full", store=tmp_path / "runs")
        a, b = found.rows
        assert (a.values, a.missing) == ({0: 10.0, 1: 20.0}, {2: "DataError: cut short"})
        assert b.missing[0] == "no b here"
    assert calls.count(0) == calls.count(1) == 1


def test_a_queue_does_the_same(toy, tmp_path):
    pytest.importorskip("optuna", reason="queues need the 'compare' extra")
    store = Store.open(tmp_path / "runs")
    queue = Queue(f"sqlite:///{tmp_path / 'queue.db'}", "toy")
    through = reproduce(toy, budget="quick", store=store.path, queue=queue)
    assert {point.state for point in queue.points().values()} == {"finished"}
    assert len(queue.points()) == 4
    assert through.document() == reproduce(toy, budget="quick", store=tmp_path / "others").document()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"budget": "huge"}, ArgumentError, "smoke, quick, full"),
        ({"seeds": 0}, ArgumentError, "at least 1"),
        ({"only": ["dence"]}, UnknownNameError, "did you mean 'dense'"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(toy, tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        reproduce(toy, store=tmp_path / "runs", **arguments)
    assert not (tmp_path / "runs").exists()


def test_a_foreign_folder_is_no_store(toy, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(StoreError, match=r"thesis\.tex"):
        reproduce(toy, store=tmp_path)
