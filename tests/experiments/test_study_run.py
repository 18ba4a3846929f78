import json
from dataclasses import replace

import pytest

from thresher.experiments.store import Store
from thresher.experiments.study_run import StudyRun, study_runs


def result(error=3.0, **collapse):
    return {"test_error_final_pct": error, "collapse": {"collapsed_layers": [], "disconnected": False} | collapse}


def test_a_run_is_finished_failed_or_not_run(small):
    failure = {"type": "CollapseError", "message": "fc2 is empty"}
    assert StudyRun(small).state == "not run"
    assert StudyRun(small, failure=failure).state == "failed"
    assert StudyRun(small, result()).state == "finished"
    assert StudyRun(small, result(), failure).state == "finished"


def test_it_diverged_if_something_was_not_finite(small):
    assert StudyRun(small, failure={"type": "NonFiniteError", "message": "nan"}).diverged
    assert not StudyRun(small, failure={"type": "DataError", "message": "absent"}).diverged
    assert not StudyRun(small, result()).diverged


def test_it_collapsed_if_a_layer_or_every_path_is_gone(small):
    assert not StudyRun(small, result()).collapsed
    assert StudyRun(small, result(collapsed_layers=["fc2.weight"])).collapsed
    assert StudyRun(small, result(disconnected=True)).collapsed
    assert not StudyRun(small).collapsed


@pytest.mark.parametrize(
    ("value", "error"), [(3, 3.0), (0.0, 0.0), (None, None), (float("nan"), None), (float("inf"), None)]
)
def test_an_error_is_a_finite_number_or_none(small, value, error):
    assert StudyRun(small, result(value)).error("test_error_final_pct") == error


@pytest.mark.parametrize(("error", "chance"), [(90.0, True), (85.5, True), (85.4, False), (None, False)])
def test_ten_classes_are_guessed_wrong_nine_times_in_ten(small, error, chance):
    assert StudyRun(small, result(error)).at_chance("test_error_final_pct") == chance


def test_a_hundred_classes_are_harder_to_guess(small):
    run = StudyRun(replace(small, data="cifar-100", model="resnet-20"), result(92.0))
    assert not run.at_chance("test_error_final_pct")


def test_what_a_store_holds_of_some_recipes(small, tmp_path):
    store = Store.open(tmp_path / "runs")
    done, failed, absent = (replace(small, seed=seed) for seed in range(3))
    for recipe, name, content in (
        (done, "result.json", result() | {"status": "finished", "recipe_hash": done.hash}),
        (failed, "failure.json", {"type": "NonFiniteError", "message": "nan", "environment": {}}),
    ):
        store.directory(recipe).mkdir()
        (store.directory(recipe) / "recipe.json").write_text(recipe.to_json())
        (store.directory(recipe) / name).write_text(json.dumps(content))
    runs = study_runs(store, [absent, done, failed])
    assert [(run.recipe, run.state) for run in runs] == [(absent, "not run"), (done, "finished"), (failed, "failed")]
    assert runs[1].directory == tmp_path / "runs" / done.name
