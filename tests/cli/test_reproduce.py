import io
import json
import sys

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from thresher.cli import reproduce as command
from thresher.cli.reproduction_table import reproduction_table
from thresher.core.errors import ArgumentError, MixedCodeError, NonFiniteError, StoreError, UnknownNameError
from thresher.experiments.queue import Queue
from thresher.experiments.store import Store
from thresher.papers import BUDGETS, PAPERS
from thresher.training import Interrupted

SMOKE = ["thesis/table-3.1", "--budget", "smoke"]


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")

    def called(*words):
        app = typer.Typer()
        app.command()(command.reproduce)
        result = CliRunner().invoke(app, list(words))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            result.exception.add_note(result.stderr)
            raise result.exception
        return result

    return called


def test_ours_beside_theirs_and_everything_below(call, tmp_path):
    result = call(*SMOKE)
    assert result.exit_code == 0
    document = json.loads((tmp_path / "reproduced" / "thesis-table-3.1-smoke" / "reproduction.json").read_text())
    by_label = {(row["row"], row["column"]): row for row in document["rows"]}
    reference = by_label["Reference", "LeNet-300-100"]
    assert reference["printed"]["value"] == 1.7
    line = next(line for line in result.stdout.splitlines() if "Reference" in line and "LeNet-300-100" in line)
    assert line.split()[2:5] == ["1.7", f"{reference['ours']['mean']:.2f}", "1"]
    assert "not run: this method is not here yet" in result.stdout
    for text in (*document["readings"], *document["departures"], "page 34", "nothing to compare"):
        assert text in result.stdout
    page = (tmp_path / "reproduced" / "thesis-table-3.1-smoke" / "study.html").read_text()
    assert "LWC (magnitude)" in page
    assert sum(path.is_dir() and not path.name.startswith(".") for path in (tmp_path / "runs").iterdir()) == 5


def test_for_machines_the_last_line_is_the_document(call, tmp_path):
    result = call(*SMOKE, "--json", "--only", "SNIP 95*", "--out", str(tmp_path / "there"), "--seeds", "2")
    (line,) = result.stdout.splitlines()
    found = json.loads(line)
    assert found.pop("report") == str(tmp_path / "there" / "study.html")
    found.pop("store")
    assert found == json.loads((tmp_path / "there" / "reproduction.json").read_text())
    assert [row["row"] for row in found["rows"]] == ["SNIP 95 %"]
    assert found["rows"][0]["values"].keys() == {"0", "1"}


def test_trainings_can_be_cut_short(call, tmp_path):
    result = call(*SMOKE, "--only", "SNIP 95*", "--steps", "2", "--json")
    document = json.loads(result.stdout.splitlines()[-1])
    (run,) = Store.open("runs").runs()
    assert run.recipe.budget == "2it"
    assert document["rows"][0]["runs"] == [run.name]
    assert "more than 2 steps are cut" in document["departures"][-1]
    assert (tmp_path / "reproduced" / "thesis-table-3.1-smoke-2it" / "study.html").is_file()


def test_what_the_store_holds_is_shown_without_running_anything(call, tmp_path):
    call(*SMOKE, "--only", "SNIP 95*")
    before = sorted(file for file in (tmp_path / "runs").rglob("*"))
    result = call(*SMOKE, "--only", "SNIP*", "--seeds", "2", "--stored", "--workers", "2", "--json")
    rows = {row["row"]: row for row in json.loads(result.stdout.splitlines()[-1])["rows"]}
    assert rows["SNIP 95 %"]["values"].keys() == {"0"}
    assert rows["SNIP 99 %"]["missing"] == {"0": "not in the store", "1": "not in the store"}
    assert sorted(file for file in (tmp_path / "runs").rglob("*")) == before
    assert result.exit_code == 0


def test_nothing_is_cut_off_on_a_narrow_terminal():
    ours = {"mean": 0.825, "deviation": 0.078, "n": 2, "interval": [0.13, 1.52]}
    row = {
        "row": "LWC (magnitude) 91.7 %",
        "column": "LeNet-300-100",
        "printed": {"words": "0.9", "decimals": 1},
        "ours": ours,
        "verdict": {"kind": "within", "words": "within (3 of 5 seeds without a number)"},
    }
    console = Console(width=80, file=io.StringIO())
    console.print(reproduction_table({"table": "t", "title": "T", "rows": [row]}))
    shown = console.file.getvalue().splitlines()
    assert max(map(len, shown)) <= 80
    words = " ".join(shown).split()
    for cell in (row["row"], row["column"], row["verdict"]["words"], "0.9", "0.13 to 1.52"):
        assert set(cell.split()) <= set(words)


def test_claims_stand_below_the_table(call):
    result = call("thesis/figure-3.5", "--budget", "smoke", "--only", "MNIST, pixels")
    assert "the pixels that survive are the same" in result.stdout
    assert "Fashion-MNIST at" not in result.stdout


def test_two_workers_share_the_runs(call, tmp_path):
    pytest.importorskip("optuna", reason="workers need the 'compare' extra")
    result = call(*SMOKE, "--workers", "2", "--threads", "1", "--json")
    document = json.loads(result.stdout.splitlines()[-1])
    assert [len(row["values"]) for row in document["rows"]].count(1) == 6
    assert json.loads(call(*SMOKE, "--json").stdout.splitlines()[-1]) == document


def test_workers_are_not_given_runs_on_data_that_is_not_there(call, tmp_path):
    pytest.importorskip("optuna", reason="workers need the 'compare' extra")
    words = ["--data-dir", str(tmp_path), "--no-download", "--workers", "2", "--only", "LSTM-s", "--json"]
    result = call("thesis/table-3.2", *words)
    document = json.loads(result.stdout)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (1, "nothing was measured")
    assert {row["verdict"]["words"] for row in document["rows"]} == {"not run: no mnist"}


def test_what_fails_is_said_and_is_fatal_only_alone(call):
    words = ["thesis/table-3.1", "--budget", "smoke", "--only", "SNIP 95*", "--only", "SNIP 98*", "--json"]
    call(*words)
    store = Store.open("runs")
    runs = store.runs()
    assert len(runs) > 1
    for number, run in enumerate(runs, 1):
        store.remove(run.name)
        store.record_failure(run.recipe, NonFiniteError("the loss is nan"))
        result = call(*words)
        assert f"{number} of {len(runs)} runs failed (NonFiniteError {number}): `thresher runs rm" in result.stderr
        assert result.exit_code == (number == len(runs))
        failed = ["the loss is nan" in row["verdict"]["words"] for row in json.loads(result.stdout)["rows"]]
        assert any(failed)
        assert all(failed) == (number == len(runs))


def test_mixed_code_is_refused_with_the_option_that_allows_it(call):
    pytest.importorskip("optuna", reason="workers need the 'compare' extra")
    with Queue(Store.open("runs").queue_file, "mine", code="of somebody else"):
        pass
    words = [*SMOKE, "--only", "Reference", "--workers", "2", "--threads", "1", "--study", "mine"]
    with pytest.raises(MixedCodeError, match="--allow-mixed-code"):
        call(*words)
    assert call(*words, "--allow-mixed-code").exit_code == 0


@pytest.mark.parametrize("words", [["--list"], []])
def test_the_list_has_every_table_and_what_it_costs(call, words):
    result = call(*words)
    for name in PAPERS:
        assert name in result.stdout
    listed = json.loads(call(*words, "--json").stdout)["tables"]
    assert [row["name"] for row in listed] == list(PAPERS)
    first = listed[0]
    assert first["data"] == ["mnist"]
    assert first["cost"].keys() == set(BUDGETS)
    assert (first["cost"]["full"]["runs"], first["cost"]["full"]["seeds"]) == (30, 5)
    assert "mnist; smoke 5 runs, 5 s; quick 12 runs, 7 min; full 30 runs, 4 h" in result.stdout
    for name, paper in PAPERS.items():
        assert f"{name}  {paper.title}" in result.stdout


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["thesis/table3.1"], UnknownNameError, "did you mean 'thesis/table-3.1'"),
        ([*SMOKE[:1], "--budget", "smok"], ArgumentError, "smoke, quick, full"),
        ([*SMOKE, "--seeds", "0"], ArgumentError, "at least 1"),
        ([*SMOKE, "--steps", "0"], ArgumentError, "steps is at least 1: got 0"),
        ([*SMOKE, "--only", "SNIPE"], UnknownNameError, "did you mean"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_written(call, tmp_path, words, error, message):
    with pytest.raises(error, match=message):
        call(*words)
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_folder_is_no_store(call, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(StoreError, match=r"letter\.txt"):
        call(*SMOKE, "--store", str(tmp_path / "mine"))


def test_after_an_interruption_the_same_command_goes_on(call, tmp_path, monkeypatch):
    def stop(*arguments, **settings):
        raise Interrupted(tmp_path, 1, 4)

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["thresher.papers.run_missing"], "run", stop)
        with pytest.raises(Interrupted) as stopped:
            call(*SMOKE)
    assert stopped.value.__notes__[0].endswith("the same command goes on from here\n")
    assert not (tmp_path / "reproduced").exists()
    assert call(*SMOKE).exit_code == 0


def test_without_optuna_one_worker_is_enough(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert call(*SMOKE).exit_code == 0
