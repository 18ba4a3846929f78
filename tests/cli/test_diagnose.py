"""`thresher diagnose`, from each of the things it can be given to what it writes."""

import json
import textwrap
from pathlib import Path

import pytest
import torch
import typer
from safetensors.torch import load_file, save_file

from thresher.cli.diagnose import diagnose
from thresher.cli.factory import call_factory
from thresher.cli.subject import Source
from thresher.core import Mask
from thresher.core.batch import read_batches
from thresher.core.errors import (
    ArgumentError,
    DataError,
    FileFormatError,
    MaskMismatchError,
    NonFiniteError,
    ThresherError,
)
from thresher.core.seeds import generator
from thresher.experiments import Recipe, protocol, run
from thresher.models import build

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"
FRESH = ("--data", "digits", "--model", "lenet-300-100", "--examples", 50)
PRUNED = (*FRESH, "--method", "snip", "--sparsity", 0.95)


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """A function: words → the JSON object and the text; errors come through as they are raised."""
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    app.command()(diagnose)

    def call(*words):
        app([str(word) for word in words], standalone_mode=False)
        out = capsys.readouterr().out
        return json.loads(out.splitlines()[-1]) if "--json" in words else out

    return call


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of a step, as `thresher train` leaves it."""
    path = tmp_path_factory.mktemp("run") / "snip"
    words = {**protocol("digits"), "budget": "1it"}
    run(Recipe(data="digits", model="lenet-300-100", method="snip", sparsity=0.95, **words), path)
    return path


KEYS = {
    *(f"jacobian_singular_{name}" for name in ("mean", "std", "max", "min")),
    *("condition_number", "orthogonality_score", "effective_sparsity", "first_order_decrease"),
}


def test_fresh_weights_are_pruned_diagnosed_and_repaired(call, tmp_path):
    found = call(*PRUNED, "--repair", "--json", "--out", "here")
    assert found.keys() >= KEYS
    assert found["repaired"].keys() >= KEYS
    assert found["sparsity"] == pytest.approx(0.95, abs=1e-4)
    assert found["repaired"]["orthogonality_score"] < found["orthogonality_score"]
    assert found["repaired"]["jacobian_singular_mean"] > found["jacobian_singular_mean"]
    whole = json.loads((tmp_path / "here" / "diagnosis.json").read_text())
    assert [row["name"] for row in whole["layers"]] == ["fc1.weight", "fc2.weight", "fc3.weight"]
    assert "lenet-300-100 on digits" in Path(found["report"]).read_text()
    mask, weights = Mask.load(found["mask"]), load_file(found["checkpoint"])
    assert mask.sparsity == pytest.approx(0.95, abs=1e-4)
    assert all(not bool(weights[name][~keep].any()) for name, keep in mask.items())


def test_a_repaired_checkpoint_diagnosed_again_has_the_numbers_it_was_said_to_have(call, tmp_path):
    first = call(*PRUNED, "--repair", "--json", "--out", "here")
    for words in ((), ("--mask", first["mask"])):
        again = call(first["checkpoint"], *FRESH, *words, "--json", "--out", "there")
        for key in KEYS:
            assert again[key] == pytest.approx(first["repaired"][key], rel=1e-5), key
        assert again["dense"] is None


def test_a_run_is_looked_at_as_training_starts_or_as_it_ended(call, finished):
    start = call(finished, "--examples", 50, "--json")
    assert start["dense"] is not None
    fresh = call(*PRUNED, "--json")
    assert all(start[key] == pytest.approx(fresh[key]) for key in KEYS)
    end = call(finished, "--trained", "--examples", 50, "--json")
    assert end["dense"] is None
    assert end["jacobian_singular_mean"] != start["jacobian_singular_mean"]


def test_people_get_sentences_and_tables(call):
    said = " ".join(call(*PRUNED).split())
    for word in ("The signal", "Most is lost in", "first small step", "no forecast of training time", "--repair"):
        assert word in said
    assert "diagnosis/diagnosis.html" in said


@pytest.mark.skipif(not MNIST.is_dir(), reason="the MNIST files are not here")
def test_snip_is_told_from_random_at_98_percent(call):
    words = ("--data", "mnist", "--data-dir", MNIST, "--model", "lenet-300-100", "--sparsity", 0.98, "--examples", 100)
    snip = " ".join(call(*words, "--method", "snip").split())
    random = " ".join(call(*words, "--method", "random").split())
    assert "The signal gets through weakened" in snip
    assert "The signal hardly gets through" in random
    assert "hang together" in snip
    assert "scattered" in random
    assert "No layer is empty" in snip
    assert "2 layers have most of their units cut off: fc1.weight, fc2.weight" in random


@pytest.fixture
def own(tmp_path):
    """A user's module in the current folder, and a mask for its net."""
    name = f"nets_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(
        textwrap.dedent(
            """
            import torch
            def net():
                torch.manual_seed(0)
                return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
            def batches():
                return [(torch.randn(5, 6), torch.tensor([0, 1, 2, 0, 1]))]
            def wrong():
                return [(torch.randn(5, 7), torch.tensor([0, 1, 2, 0, 1]))]
            def integers():
                return [(torch.zeros(5, 6, dtype=torch.int64), torch.tensor([0, 1, 2, 0, 1]))]
            def singles():
                return [torch.zeros(5, 6)]
            """
        )
    )
    Mask({"0.weight": torch.arange(48).view(8, 6) % 3 == 0}).save(tmp_path / "own.mask")
    return lambda function: f"{name}:{function}"


def test_the_users_own_model_and_batches(call, own):
    found = call("--model", own("net"), "--batches", own("batches"), "--mask", "own.mask", "--json")
    assert found["sparsity"] == pytest.approx(2 / 3)
    assert found["jacobian_examples"] == 5
    with pytest.raises(ThresherError, match="does not take these inputs"):
        call("--model", own("net"), "--batches", own("wrong"), "--mask", "own.mask")
    with pytest.raises(ThresherError):
        call("--model", own("net"), "--batches", own("integers"), "--mask", "own.mask")
    with pytest.raises(DataError, match="got one tensor"):
        call("--model", own("net"), "--batches", own("singles"), "--mask", "own.mask")


def test_without_data_normal_inputs_are_looked_at_and_what_takes_labels_is_left_out(call, own, tmp_path):
    words = ("--model", own("net"), "--mask", "own.mask", "--input-shape", "6", "--examples", 250, "--seed", 5)
    found = call(*words, "--repair", "--json")
    net = call_factory(own("net")).double()
    with torch.no_grad():
        net[0].weight[torch.arange(48).view(8, 6) % 3 != 0] = 0.0
    inputs = torch.randn((250, 6), generator=generator(5, "normal-inputs")).double()
    values = torch.linalg.svdvals(torch.func.vmap(torch.func.jacrev(net))(inputs)).detach()
    assert found["jacobian_examples"] == 250
    assert found["jacobian_singular_mean"] == pytest.approx(float(values.mean()))
    assert found["jacobian_singular_min"] == pytest.approx(float(values.min()))
    assert found["first_order_decrease"] is found["repaired"]["first_order_decrease"] is None
    layer = json.loads((tmp_path / "diagnosis" / "diagnosis.json").read_text())["layers"][0]
    sizes = net[0](inputs).square().mean(1).sqrt()
    assert layer["activation_norm"] == pytest.approx(float(sizes.mean().detach()))
    assert (layer["gradient_norm"], layer["sensitivity_share"]) == (None, None)
    assert "on standard normal inputs of 6 without labels" in Path(found["report"]).read_text()
    said = " ".join(call(*words).split())
    assert "on standard normal inputs of 6 without labels: The signal" in said
    assert "there are no labels" in said


def test_a_known_model_takes_the_shape_of_the_inputs(call, tmp_path):
    Mask({"fc1.weight": torch.ones(300, 64).bool()}).save(tmp_path / "small.safetensors")
    words = ("--model", "lenet-300-100", "--mask", "small.safetensors", "--initializer", "normal:0.01")
    assert call(*words, "--input-shape", "1x8x8", "--examples", 3, "--json")["jacobian_examples"] == 3
    with pytest.raises(MaskMismatchError):
        call(*words, "--input-shape", "1x28x28")


@pytest.mark.parametrize("shape", [None, (2, 3)])
def test_what_is_looked_at_is_on_the_device(shape, own, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nowhere = torch.device("meta")
    source = Source(
        data=None, data_dir=None, download=False, batches=own("batches"), shape=shape, examples=150, device=nowhere
    )
    read = list(read_batches(source.examined(None, 0), "test", nowhere))
    assert sum(len(inputs) for inputs, _ in read) == (5 if shape is None else 150)


def test_weights_that_are_not_finite_are_named(call, tmp_path):
    model = build("lenet-300-100", num_classes=10, input_shape=(1, 8, 8), seed=0)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    weights["fc2.weight"][3, 4] = float("nan")
    save_file(weights, tmp_path / "bad.safetensors")
    with pytest.raises(NonFiniteError, match=r"fc2\.weight"):
        call("bad.safetensors", *FRESH)


def test_files_that_are_something_else_are_refused(call, tmp_path, finished):
    Mask({"fc1.weight": torch.ones(300, 64).bool()}).save(tmp_path / "mask.safetensors")
    with pytest.raises(ArgumentError, match="is a mask: pass it by --mask"):
        call("mask.safetensors", *FRESH)
    Mask({"fc1.weight": torch.ones(2, 2).bool()}).save(tmp_path / "foreign.safetensors")
    with pytest.raises(MaskMismatchError):
        call(*FRESH, "--mask", "foreign.safetensors")
    with pytest.raises(FileFormatError, match="no run directory"):
        call(tmp_path)
    with pytest.raises(FileFormatError, match="no file at"):
        call("absent.safetensors", *FRESH)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "nothing to diagnose without --model"),
        (FRESH, "what is pruned"),
        (("--model", "lenet-300-100", "--mask", "m"), "taken at examples"),
        ((*PRUNED, "--mask", "m"), "leave out --mask"),
        ((*FRESH, "--mask", "m", "--sparsity", 0.9), "nothing is pruned without --method.*leave out --sparsity"),
        ((*FRESH, "--method", "snip"), "say how much to remove"),
        ((*FRESH, "--method", "snpi", "--sparsity", 0.9), "did you mean 'snip'"),
        ((*FRESH, "--mask", "m", "--initializer", "glorto"), "did you mean 'glorot'"),
        (("--method", "snip", "--sparsity", 0.9), "give --model and --data"),
        (("--model", "a:b", "--data", "digits", "--method", "snip", "--sparsity", 0.9), "thresher prune"),
        ((*PRUNED, "--trained"), "--trained is for a run directory"),
        (("--data", "digits", "--batches", "a:b"), "--data and --batches each say .* give one"),
        (("--input-shape", "3,8,8", "--batches", "a:b"), "--batches and --input-shape each say .* give one"),
        (
            ("--model", "lenet-300-100", "--method", "snip", "--input-shape", "1,8,8"),
            "prune .* --mask.*leave out --input-shape",
        ),
        (("--model", "lenet-300-100", "--mask", "m", "--input-shape", "1,8,x"), "written '3x32x32': got '1,8,x'"),
        ((*FRESH, "--mask", "m", "--initializer", "normal:-1"), "variance of the weights.*got '-1'"),
        ((*PRUNED, "--device", "abacus"), "device 'abacus' cannot be used here"),
        ((*FRESH[:4], "--examples", 0), "at least 1: got 0"),
        ((*FRESH[:4], "--method", "snip", "--sparsity", 0.9, "--examples", 10**9), "0 reads them all"),
    ],
)
def test_words_that_do_not_go_together_are_refused(call, words, message, tmp_path):
    with pytest.raises(ArgumentError, match=message):
        call(*words)
    assert not (tmp_path / "diagnosis").exists()


def test_a_run_brings_its_own_words_and_its_model_is_not_overwritten(call, finished):
    before = (finished / "model.safetensors").read_bytes()
    with pytest.raises(ArgumentError, match="leave out --method, --sparsity"):
        call(finished, "--method", "snip", "--sparsity", 0.9)
    with pytest.raises(ArgumentError, match="would overwrite"):
        call(finished, "--repair", "--out", finished)
    assert (finished / "model.safetensors").read_bytes() == before
    files = call(finished, "--repair", "--examples", 50, "--out", finished / "diagnosis", "--json")
    assert Path(files["checkpoint"]).is_file()


def test_a_checkpoint_is_not_overwritten_by_its_repair(call, tmp_path):
    found = call(*PRUNED, "--repair", "--json", "--out", "here")
    with pytest.raises(ArgumentError, match="would overwrite"):
        call(found["checkpoint"], *FRESH, "--repair", "--out", "here")
