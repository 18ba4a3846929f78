import json
import sys

import pytest
import torch
import typer
from typer.testing import CliRunner

from thresher.bench import SCHEMA, suite
from thresher.bench.contender import Unable
from thresher.cli import bench as command
from thresher.core.errors import ArgumentError, UnknownNameError
from thresher.report.numbers import times

SMALL = ["--only", "lenet-300-100", "--sparsities", "0.95,0.9", "--batch", "4", "--repeats", "2", "--against", "csr"]


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr(suite, "multiply_add_peak", lambda: 1e9)


def call(*words):
    app = typer.Typer()
    app.command()(command.bench)
    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_table_a_document_and_a_plot(tmp_path):
    result = call(*SMALL, "--out", str(tmp_path))
    assert result.exit_code == 0
    document = json.loads((tmp_path / "bench.json").read_text())
    assert document["schema"] == SCHEMA
    assert document["complete"]
    assert document["plan"]["sparsities"] == [0.9, 0.95]
    assert document["environment"]["threads"] == torch.get_num_threads()
    assert document["environment"]["instruction_set"] in ("avx512", "avx2", "portable", "reference")
    assert [(row["what"], row["sparsity"]) for row in document["rows"]] == [("step", 0.9), ("step", 0.95)]
    assert (tmp_path / "speedup.svg").read_text().startswith("<svg ")
    for row in document["rows"]:
        assert times(row["contenders"]["csr"]["speedup"]["median"]) in result.stdout
    assert document["environment"]["processor"] in result.stdout
    assert "[1/2] lenet-300-100 at sparsity 0.9, training, batch 4" in result.stderr
    assert "[2/2]" in result.stderr


def test_for_machines_the_last_line_is_the_document_without_samples(tmp_path):
    result = call(*SMALL, "--json", "--out", str(tmp_path))
    (line,) = result.stdout.splitlines()
    short = json.loads(line)
    document = json.loads((tmp_path / "bench.json").read_text())
    assert short.pop("out") == str(tmp_path)
    for row in document["rows"]:
        for contender in row["contenders"].values():
            assert len(contender.pop("samples")) == 1
    assert short == document


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["--only", "resnet-2o"], UnknownNameError, "did you mean 'resnet-20'"),
        (["--against", "sparselap"], UnknownNameError, "did you mean 'sparselab'"),
        (["--sparsities", "0.9;0.95"], ArgumentError, "commas"),
        (["--sparsities", "90"], ArgumentError, "percentage"),
        (["--repeats", "0"], ArgumentError, "rounds"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_written(tmp_path, words, error, message):
    with pytest.raises(error, match=message):
        call("--out", str(tmp_path / "out"), *words)
    assert not (tmp_path / "out").exists()


def test_an_absent_rival_is_a_line_unless_it_was_named(tmp_path, monkeypatch):
    for package in ("sparseprop", "sparselab", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
    words = [*SMALL[:-2], "--out", str(tmp_path)]
    assert "not measured: sparselab: sparselab cannot be imported" in call(*words).stdout
    with pytest.raises(Unable, match="--against sparselab"):
        call(*words, "--against", "sparselab")


def test_an_interruption_keeps_what_was_measured(tmp_path, monkeypatch):
    race = suite.race

    def interrupted(heat, *arguments):
        if heat.sparsity == 0.95:
            raise KeyboardInterrupt
        return race(heat, *arguments)

    monkeypatch.setattr(suite, "race", interrupted)
    result = call(*SMALL, "--json", "--out", str(tmp_path))
    assert result.exit_code == 130
    short = json.loads(result.stdout.splitlines()[-1])
    assert not short["complete"]
    assert [row["sparsity"] for row in short["rows"]] == [0.9]
    assert json.loads((tmp_path / "bench.json").read_text())["complete"] is False
    assert (tmp_path / "speedup.svg").exists()
    assert "stopped before the end" in result.stderr


def test_an_interruption_before_anything_was_measured_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(suite, "race", interrupted)
    assert call(*SMALL, "--out", str(tmp_path / "out")).exit_code != 0
    assert not (tmp_path / "out").exists()


def test_quick_is_three_rounds_of_small_cases(monkeypatch, tmp_path):
    plans = []

    def measure(plan, environment, on_progress):
        plans.append(plan)
        yield {
            "schema": SCHEMA,
            "environment": environment,
            "plan": {"sparsities": []},
            "multiply_add_peak": 1.0,
            "versions": {},
            "absent": {},
            "crossovers": [],
            "rows": [],
            "complete": True,
        }

    monkeypatch.setattr(command, "measure", measure)
    call("--quick", "--out", str(tmp_path))
    call("--out", str(tmp_path))
    quick, whole = plans
    assert (quick.rounds, whole.rounds) == (3, 11)
    assert {"linear-1024", "lenet-300-100"} <= set(quick.cases) < set(whole.cases)
    assert "vgg-like" not in quick.cases
    assert len(whole.cases) == 11
    assert whole.sparsities == (0.8, 0.9, 0.95, 0.98)


def test_threads_are_torchs(tmp_path):
    before = torch.get_num_threads()
    try:
        call(*SMALL, "--threads", "1", "--out", str(tmp_path))
        assert torch.get_num_threads() == 1
        assert json.loads((tmp_path / "bench.json").read_text())["environment"]["threads"] == 1
    finally:
        torch.set_num_threads(before)
