import dataclasses
import json
import os
import signal

import pytest
import torch
from safetensors.torch import load_file

from thresher.core.errors import CollapseError, FileFormatError, NonFiniteError, RunDirectoryError
from thresher.core.mask import Mask
from thresher.experiments import METHODS, run
from thresher.experiments.recipe import Recipe
from thresher.training import Interrupted


def interrupt_once(step):
    """A callback that presses Ctrl-C when training is at `step`; a second press would not be deferred."""
    pressed = []

    def on_progress(progress):
        if progress.step >= step and not pressed:
            pressed.append(progress.step)
            os.kill(os.getpid(), signal.SIGINT)

    return on_progress


def test_a_run_leaves_what_the_result_says(small, tmp_path):
    state = torch.get_rng_state()
    result = run(small, tmp_path)
    assert torch.get_rng_state().equal(state)
    assert result == json.loads((tmp_path / "result.json").read_text())
    mask = Mask.load(tmp_path / "mask.safetensors")
    total = 300 * 64 + 100 * 300 + 10 * 100
    assert (mask.total, mask.kept) == (total, round(total * 0.1))
    assert (result["kept"], result["prunable"]) == (mask.kept, total)
    assert result["parameters"] == total + 410
    assert result["cost"]["kept_parameters"] == mask.kept + 410
    weights = load_file(tmp_path / "model.safetensors")
    for name, kept in mask.items():
        assert not weights[name][~kept].any()
        assert bool(weights[name][kept].any())
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [8, 16, 24, 30]
    assert result["test_error_final_pct"] == rows[-1]["test_error_pct"]
    assert result["test_error_best_pct"] == min(row["test_error_pct"] for row in rows)
    best = min(rows, key=lambda row: row["validation_error_pct"])
    assert result["test_error_at_best_validation_pct"] == best["test_error_pct"]
    read = {(row["dataset"], row["purpose"]): row["reads"] for row in result["touches"]}
    assert read == {
        ("digits/train", "snip"): 32,
        ("digits/train", "train"): 30 * 32,
        ("digits/train", "validation"): 4 * 144,
        ("digits/test", "test"): 4 * 360,
    }
    assert not (tmp_path / "checkpoint.pt").exists()


def test_a_finished_run_is_not_repeated(small, tmp_path):
    first = run(small, tmp_path)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir() if file.name != ".lock"}
    assert run(small, tmp_path) == first
    assert {file: file.stat().st_mtime_ns for file in before} == before


@pytest.mark.parametrize("engine", ["masked", "sparse"])
def test_the_same_recipe_elsewhere_gives_the_same_bits(small, tmp_path, engine):
    recipe = dataclasses.replace(small, engine=engine)
    run(recipe, tmp_path / "a")
    run(recipe, tmp_path / "b")
    for name in ("metrics.jsonl", "mask.safetensors", "model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "adam", "learning_rate": 0.001},
        {"holding": "straight-through"},
        {"holding": "freeze", "reinitialize": True},
        {"method": "dense", "sparsity": 0.0},
        {"engine": "sparse"},
        {"engine": "sparse", "optimizer": "adam", "learning_rate": 0.001},
    ],
    ids=["momentum", "adam", "straight-through", "freeze", "dense", "sparse", "sparse-adam"],
)
@pytest.mark.parametrize("stop_at", [3, 16])
def test_ctrl_c_and_resume_end_in_the_same_bits(small, tmp_path, changes, stop_at):
    recipe = dataclasses.replace(small, **changes)

    whole = run(recipe, tmp_path / "whole")
    with pytest.raises(Interrupted, match="resume"):
        run(recipe, tmp_path / "parts", on_progress=interrupt_once(stop_at))
    assert not (tmp_path / "parts" / "result.json").exists()
    with pytest.raises(RunDirectoryError, match="--resume"):
        run(recipe, tmp_path / "parts")
    parts = run(recipe, tmp_path / "parts", resume=True)
    for name in ("metrics.jsonl", "mask.safetensors", "model.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes(), name
    if recipe.method != "dense":
        # scoring happened before the interruption and is not repeated, nor forgotten
        assert whole["touches"] == parts["touches"]


def test_a_checkpoint_cut_short_is_said_and_kept(small, tmp_path):
    with pytest.raises(Interrupted):
        run(small, tmp_path, on_progress=interrupt_once(5))
    checkpoint = tmp_path / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(FileFormatError, match=r"checkpoint\.pt"):
        run(small, tmp_path, resume=True)
    assert checkpoint.exists()


@pytest.mark.parametrize("method", [name for name in METHODS if name != "dense"])
def test_every_method_runs_at_the_asked_sparsity(small, tmp_path, method):
    rounds = 3 if method == "synflow" else None
    recipe = dataclasses.replace(small, method=method, rounds=rounds, budget="2it")
    result = run(recipe, tmp_path)
    assert result["kept"] == 5020
    assert result["collapse"]["effective_kept"] <= 5020


def masks_and_weights(recipe, directory):
    run(recipe, directory)
    return Mask.load(directory / "mask.safetensors"), load_file(directory / "model.safetensors")


def test_a_perturbed_mask_is_shuffled_or_inverted(small, tmp_path):
    small = dataclasses.replace(small, budget="1it", method="magnitude", sparsity=0.5, allocation="uniform")
    plain, _ = masks_and_weights(small, tmp_path / "plain")
    shuffled, _ = masks_and_weights(dataclasses.replace(small, perturb="shuffle"), tmp_path / "shuffled")
    inverted, _ = masks_and_weights(dataclasses.replace(small, perturb="invert"), tmp_path / "inverted")
    assert shuffled.counts == plain.counts
    assert plain.overlap(shuffled) == pytest.approx(1 / 3, abs=0.02)  # two halves drawn apart share a quarter
    assert plain.overlap(inverted) < 0.001  # but for an odd weight


def test_labels_are_shuffled_after_scoring(small, tmp_path):
    small = dataclasses.replace(small, budget="200it", learning_rate=0.05)
    true, _ = masks_and_weights(small, tmp_path / "true")
    shuffled, _ = masks_and_weights(dataclasses.replace(small, labels="shuffled"), tmp_path / "shuffled")
    assert true == shuffled
    assert json.loads((tmp_path / "true" / "result.json").read_text())["test_error_final_pct"] < 20
    assert json.loads((tmp_path / "shuffled" / "result.json").read_text())["test_error_final_pct"] > 60


def test_new_weights_are_drawn_as_asked_and_the_mask_is_of_the_old_ones(small, tmp_path):
    small = dataclasses.replace(small, budget="1it", learning_rate=1e-30)
    first, weights = masks_and_weights(small, tmp_path / "first")
    again = dataclasses.replace(small, reinitialize=True)
    second, redrawn = masks_and_weights(again, tmp_path / "second")
    third, wide = masks_and_weights(dataclasses.replace(again, reinitialize_by="normal"), tmp_path / "third")
    assert first == second == third
    name = "fc1.weight"
    kept = first[name]
    assert not torch.equal(weights[name], redrawn[name])
    assert float(redrawn[name][kept].std()) < 0.3
    assert float(wide[name][kept].std()) == pytest.approx(1.0, rel=0.1)


def test_a_diverging_run_stops_with_a_reason_and_no_result(small, tmp_path):
    recipe = dataclasses.replace(small, learning_rate=1e30, budget="50it")
    with pytest.raises(NonFiniteError, match="learning rate"):
        run(recipe, tmp_path)
    assert not (tmp_path / "result.json").exists()


def test_collapse_can_stop_a_run_before_it_trains(small, tmp_path):
    recipe = dataclasses.replace(small, method="magnitude", sparsity=0.9999, on_collapse="raise")
    with pytest.raises(CollapseError):
        run(recipe, tmp_path)
    assert not (tmp_path / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"pattern": "2:4", "sparsity": 0.0}, 25100),
        ({"pattern": "block:4x4", "sparsity": 0.9, "method": "magnitude", "protect": ("last",)}, None),
        ({"allocation": "erk"}, 5020),
        ({"allocation": "lamp", "method": "magnitude", "schedule": "cubic", "rounds": 4}, 5020),
        ({"protect": ("fc3.*",), "allocation": "uniform"}, 5020),
    ],
)
def test_compositions(small, tmp_path, changes, kept):
    result = run(dataclasses.replace(small, budget="2it", **changes), tmp_path)
    if kept is None:
        assert abs(result["kept"] - 5020) <= 16
    else:
        assert result["kept"] == kept
    if "protect" in changes:
        assert result["layers"][-1]["kept"] == 1000


def test_real_mnist(data_dir, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # of what layers cost on this machine
    recipe = Recipe(
        data="mnist", model="lenet-300-100", method="snip", sparsity=0.95, budget="200it", evaluate_every="200it"
    )
    result = run(recipe, tmp_path / "run", data_dir=data_dir, download=False)
    assert result["kept"] == 13310
    # 200 steps are enough to be far from the 90 % of guessing
    assert result["test_error_final_pct"] < 20
