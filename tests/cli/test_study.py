import pytest

from thresher.cli.study import Execution, run_study
from thresher.experiments.points import grid

CHEAP = {"data": "digits", "model": "lenet-300-100", "budget": "4it", "batch_size": 32, "evaluate_every": "4it"}


@pytest.fixture
def states(tmp_path):
    def work_off(recipes, *, again=False):
        how = Execution(
            store=tmp_path / "runs",
            storage=None,
            workers=1,
            threads=None,
            device="cpu",
            data_dir=None,
            no_download=True,
            allow_mixed_code=False,
            again=again,
        )
        store, runs = run_study("study", recipes, how, lambda line: None)
        return store, [run.state for run in runs]

    return work_off


def test_runs_that_were_deleted_are_run_anew(states):
    recipes = grid(CHEAP, seed=(0, 1))
    store, _ = states(recipes)
    kept = store.directory(recipes[0]) / "result.json"
    before = kept.stat().st_mtime_ns
    store.remove(recipes[1].name)
    assert states(recipes)[1] == ["finished", "finished"]
    assert kept.stat().st_mtime_ns == before


def test_what_has_failed_is_tried_anew_only_when_asked(states):
    (recipe,) = grid(CHEAP, learning_rate=(1e30,))
    store, first = states([recipe])
    assert first == ["failed"]
    (said,) = store.directory(recipe).glob("fail*")

    def tried_at():
        return said.stat().st_mtime_ns

    before = tried_at()
    assert states([recipe])[1] == ["failed"]
    assert tried_at() == before
    assert states([recipe], again=True)[1] == ["failed"]
    assert tried_at() != before
