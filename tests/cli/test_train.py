import json
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest

from thresher.cli.main import main

SMALL = ["--data", "digits", "--model", "lenet-300-100", "--method", "snip", "--sparsity", "0.9"]
FIXED = [*SMALL, "--engine", "masked"]  # what the default chooses depends on the machine


def call(capsys, *words):
    with pytest.raises(SystemExit) as stop:
        main(["train", *words])
    captured = capsys.readouterr()
    return stop.value.code or 0, captured.out, captured.err


def test_json_is_the_last_line_and_has_what_was_promised(capsys, tmp_path):
    code, out, _ = call(capsys, *FIXED, "--steps", "20", "--out", str(tmp_path / "run"), "--json")
    assert code == 0
    result = json.loads(out.splitlines()[-1])
    promised = "run sparsity kept test_error_final_pct test_error_best_pct seconds_per_step engine"
    assert set(promised.split()) <= set(result)
    assert (result["kept"], result["engine"]) == (5020, "masked")
    assert result == {
        **result,
        **{
            k: v for k, v in json.loads((tmp_path / "run" / "result.json").read_text()).items() if k in promised.split()
        },
    }
    files = {file.name for file in (tmp_path / "run").iterdir()}
    assert {"recipe.json", "metrics.jsonl", "mask.safetensors", "model.safetensors", "report.html"} <= files


def test_the_table_for_people_and_the_default_directory(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = call(capsys, *SMALL, "--steps", "5", "--engine", "sparse")
    assert code == 0
    assert "sparse, in 3 of 3 layers" in out
    (run,) = (path for path in (tmp_path / "runs").iterdir() if path.is_dir())
    assert re.fullmatch(r"digits-lenet-300-100-snip-0\.9-seed0-[0-9a-f]{8}", run.name)
    assert "5,020 of 50,200" in " ".join(out.split())
    assert f"{run.name}/report.html" in out


def test_freed_memory_is_kept_before_anything_is_allocated(capsys, monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr("thresher.cli.train.keep_freed_memory", lambda: calls.append("kept"))
    monkeypatch.setattr("thresher.cli.train.run", lambda *_, **__: calls.append("run"))
    monkeypatch.setattr("thresher.cli.train.present", lambda *_: None)
    assert call(capsys, *SMALL, "--out", str(tmp_path))[0] == 0
    assert calls == ["kept", "run"]


def test_the_engine_that_ran_is_said_whichever_is_chosen_here(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # of what layers cost on this machine
    code, out, _ = call(capsys, *SMALL, "--steps", "5", "--out", str(tmp_path / "run"), "--json")
    assert code == 0
    result = json.loads(out.splitlines()[-1])
    assert set(result["sparse_layers"]) <= {"fc1", "fc2", "fc3"}
    assert result["engine"] == ("sparse" if result["sparse_layers"] else "masked")
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["engine"] == "auto"


@pytest.mark.parametrize(
    ("words", "said"),
    [([*SMALL, "--holding", "freeze"], "holding 'freeze'"), (SMALL[:4], "name a method to prune with")],
)
def test_a_sparse_engine_without_removed_weights_is_a_wrong_argument(capsys, tmp_path, words, said):
    code, _, err = call(capsys, *words, "--engine", "sparse", "--out", str(tmp_path / "run"))
    assert code == 2
    assert said in " ".join(err.split())


def test_milestones_reach_the_recipe_and_the_updates(capsys, tmp_path):
    words = [*FIXED, "--steps", "6", "--evaluate-every", "1it", "--lr", "0.5", "--milestones", "2it, 5it"]
    assert call(capsys, *words, "--out", str(tmp_path / "run"))[0] == 0
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["milestones"] == ["2it", "5it"]
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.5, 0.5, 0.05, 0.05, 0.05, 0.005])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--milestones", "80"], "a step is written '500it', '3ep' or '3ep50it': got '80'"),
        (["--milestones", ""], "a step is written '500it', '3ep' or '3ep50it': got ''"),
        (["--milestones", "8ep", "--decay-every", "5ep"], "so give one: got '5ep' and ('8ep',)"),
        (["--milestones", "8ep", "--decay", "cosine"], "milestones and decay_every belong to schedule 'step'"),
    ],
)
def test_milestones_that_mean_nothing_are_a_wrong_argument(capsys, tmp_path, words, said):
    code, _, err = call(capsys, *FIXED, *words, "--out", str(tmp_path / "run"))
    assert code == 2
    assert said in " ".join(err.split())


def test_another_recipe_in_the_same_directory_is_refused(capsys, tmp_path):
    out = str(tmp_path / "run")
    assert call(capsys, *SMALL, "--steps", "5", "--out", out)[0] == 0
    code, _, err = call(capsys, *SMALL, "--steps", "6", "--out", out, "--resume")
    assert code == 1
    assert "budget: '5it' there, '6it' here" in err


def test_ctrl_c_saves_and_resume_without_options_goes_on(tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "thresher", "train", *FIXED, "--steps", "100000", "--out", str(out)]
    command += ["--data-dir", str(tmp_path / "my data")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        while not (out / "metrics.jsonl").exists() or not (out / "metrics.jsonl").stat().st_size:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    hint = next(line for line in err.splitlines() if line.startswith("go on with: thresher train "))
    assert "Traceback" not in err
    assert (out / "checkpoint.pt").exists()
    rows = (out / "metrics.jsonl").read_text()
    # word for word what the message says
    words = shlex.split(hint.removeprefix("go on with: thresher "))
    assert words[-2:] == ["--data-dir", str(tmp_path / "my data")]
    again = subprocess.Popen([sys.executable, "-m", "thresher", *words], stderr=subprocess.PIPE, text=True)
    with again:
        while len((out / "metrics.jsonl").read_text()) <= len(rows):
            assert again.poll() is None
            time.sleep(0.05)
        again.send_signal(signal.SIGINT)
        again.communicate(timeout=60)
    assert again.returncode == 130
    assert (out / "metrics.jsonl").read_text().startswith(rows)


def test_nothing_to_resume(capsys, tmp_path):
    code, _, err = call(capsys, "--out", str(tmp_path), "--resume")
    assert code == 1
    assert "no run to resume" in err
