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


def call(capsys, *words):
    with pytest.raises(SystemExit) as stop:
        main(["train", *words])
    captured = capsys.readouterr()
    return stop.value.code or 0, captured.out, captured.err


def test_json_is_the_last_line_and_has_what_was_promised(capsys, tmp_path):
    code, out, _ = call(capsys, *SMALL, "--steps", "20", "--out", str(tmp_path / "run"), "--json")
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
    code, out, _ = call(capsys, *SMALL, "--steps", "5")
    assert code == 0
    (run,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"digits-lenet-300-100-snip-0\.9-seed0-[0-9a-f]{8}", run.name)
    assert "5,020 of 50,200" in " ".join(out.split())
    assert f"{run.name}/report.html" in out


def test_another_recipe_in_the_same_directory_is_refused(capsys, tmp_path):
    out = str(tmp_path / "run")
    assert call(capsys, *SMALL, "--steps", "5", "--out", out)[0] == 0
    code, _, err = call(capsys, *SMALL, "--steps", "6", "--out", out, "--resume")
    assert code == 1
    assert "budget: '5it' there, '6it' here" in err


def test_ctrl_c_saves_and_resume_without_options_goes_on(tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "thresher", "train", *SMALL, "--steps", "100000", "--out", str(out)]
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
