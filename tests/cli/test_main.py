import json
import subprocess
import sys

import pytest

from thresher.cli.main import main


def call(capsys, *words):
    """Exit code, standard output, standard error (one line a message)."""
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    captured = capsys.readouterr()
    return stop.value.code or 0, captured.out, captured.err


def test_help_of_every_command_shows_examples(capsys):
    code, out, _ = call(capsys, "--help")
    assert code == 0
    for command in ("demo", "train", "prune", "inspect", "bench"):
        assert command in out
    for command in ("train", "prune", "inspect", "bench"):
        code, out, _ = call(capsys, command, "--help")
        assert code == 0
        assert f"thresher {command}" in out


def test_version(capsys):
    assert call(capsys, "--version")[1] == "thresher 0.1.0\n"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["trian"], 2, "train"),
        (["train", "--data", "mnits", "--model", "lenet-300-100"], 2, "did you mean 'mnist'"),
        (["train", "--data", "digits", "--model", "lenet-300"], 2, "did you mean 'lenet-300-100'"),
        (["train", "--data", "digits"], 2, "--model missing"),
        (["train"], 2, "--data and --model missing"),
        (["train", "--resume"], 2, "--out"),
        (["train", "--data", "digits", "--model", "lenet-300-100", "--sparsity", "0.9"], 2, "name a method"),
        (["train", "--data", "digits", "--model", "lenet-300-100", "--method", "snip"], 2, "how much to remove"),
        (
            ["train", "--data", "digits", "--model", "lenet-300-100", "--method", "snip", "--sparsity", "95"],
            2,
            "percentage",
        ),
        (["train", "--data", "digits", "--model", "lenet-300-100", "--epochs", "1", "--steps", "2"], 2, "give one"),
        (["train", "--data", "digits", "--model", "lenet-300-100", "--epochs", "0"], 2, "at least 1"),
        (["train", "--data", "digits", "--model", "lenet-300-100", "--engine", "sparse"], 2, "needs a mask"),
        (["bench", "--only", "resnet-2o"], 2, "did you mean 'resnet-20'"),
        (["train", "--no-such-option"], 2, "No such option"),
        (["prune", "--model", "lenet-300-100", "--method", "snip", "--sparsity", "0.9"], 2, "reads examples"),
        (["prune", "--model", "lenet-300-100", "--sparsity", "nan"], 2, "sparsity"),
        (["prune", "--model", "lenet-300-100"], 2, "sparsity"),
        (["prune", "--model", "lenet-300-100", "--sparsity", "0.9", "--protect", "fc9*"], 2, "fc9*"),
        (["inspect", "nowhere.safetensors"], 1, "no file at"),
    ],
)
def test_bad_words_get_one_line_and_an_exit_code(capsys, tmp_path, monkeypatch, words, code, message):
    monkeypatch.chdir(tmp_path)
    got, out, err = call(capsys, *words)
    assert got == code
    assert message in " ".join(err.split())
    assert "Traceback" not in out + err
    assert not list(tmp_path.iterdir())


def test_errors_for_machines(capsys):
    _, out, _ = call(capsys, "train", "--data", "digits", "--model", "x", "--json")
    assert json.loads(out)["error"] == "UnknownNameError"


def test_absent_data_names_files_folders_and_source(capsys, tmp_path):
    words = ["train", "--data", "mnist", "--model", "lenet-300-100", "--data-dir", str(tmp_path), "--no-download"]
    code, _, err = call(capsys, *words, "--out", str(tmp_path / "run"))
    assert code == 1
    for part in ("train-images-idx3-ubyte", "t10k-labels-idx1-ubyte", str(tmp_path), "https://"):
        assert part in err


def test_as_a_module():
    done = subprocess.run([sys.executable, "-m", "thresher", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("thresher ")


def test_arguments_that_were_refused_do_not_block_the_directory(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [
        "train",
        "--data",
        "digits",
        "--model",
        "lenet-300-100",
        "--steps",
        "3",
        "--out",
        "run",
        "--method",
        "snip",
    ]
    for wrong in (["--protect", "lsat"], ["--score-examples", "99999"], ["--batch-size", "99999"], ["--device", "gpu"]):
        code, _, err = call(capsys, *words, "--sparsity", "0.9", *wrong)
        assert code == 2, err
        assert len(err.strip().splitlines()) == 1
    assert call(capsys, *words, "--sparsity", "0.8")[0] == 0
    code, _, err = call(capsys, "train", "--resume", "--out", "run", "--seed", "4")
    assert code == 1
    assert "seed: 0 there, 4 here" in err


@pytest.mark.parametrize("words", [["trian", "--json"], ["train", "--steps", "abc", "--json"]])
def test_the_parser_too_answers_machines_in_json(capsys, words):
    code, out, _ = call(capsys, *words)
    assert code == 2
    assert json.loads(out)["error"] == "UsageError"


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["--version"]])
def test_a_reader_that_has_had_enough_is_no_failure(words):
    command = [sys.executable, "-m", "thresher", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_a_full_disk_under_standard_output_is_one_line():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "thresher", "--version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "thresher: cannot write: No space left on device\n"
