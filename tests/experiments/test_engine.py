"""Sparse layers in runs: the same network as by dense simulation, chosen once, resumed to the bit."""

import dataclasses
import json
import os
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from thresher.core.errors import ArgumentError, FileFormatError
from thresher.core.mask import Mask
from thresher.core.prunable import prunable
from thresher.experiments import engine, run
from thresher.experiments.engine import choose_sparse_layers, equipped, read_sparse_layers
from thresher.experiments.recipe import Recipe
from thresher.layers import sparsify
from thresher.models import build
from thresher.training import Interrupted

FILES = ("metrics.jsonl", "mask.safetensors", "model.safetensors")


@pytest.fixture
def auto_wins(monkeypatch):
    """Sets the layers that "auto" finds to be faster sparse, whatever this machine is."""

    def choose(*layers):
        def with_known_winners(model, mask, policy, **settings):
            if policy == "auto":
                mask = Mask({name: keep for name, keep in mask.items() if name.rpartition(".")[0] in layers})
            return sparsify(model, mask, "always", **settings)

        monkeypatch.setattr(engine, "sparsify", with_known_winners)

    return choose


def stop_at(step):
    """A callback that presses Ctrl-C when training is at `step`."""

    def callback(progress):
        if progress.step == step and (progress.row is None or progress.row["step"] < step):
            signal.raise_signal(signal.SIGINT)

    return callback


def half(model):
    return Mask({name: torch.arange(p.numel()).view(p.shape) % 2 == 0 for name, p in prunable(model).items()})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "adam", "learning_rate": 0.001},
        {"clip_norm": 0.5, "optimizer": "nesterov", "protect": ("last",)},
        {"model": "resnet-20", "budget": "4it", "evaluate_every": "4it", "learning_rate": 0.01},
        {"model": "gru-s", "budget": "4it", "evaluate_every": "4it"},
    ],
    ids=["momentum", "adam", "clipped", "resnet-20", "gru-s"],
)
def test_the_network_is_that_of_the_simulation(small, tmp_path, changes):
    masked = run(dataclasses.replace(small, **changes), tmp_path / "masked")
    sparse = run(dataclasses.replace(small, engine="sparse", **changes), tmp_path / "sparse")
    assert (masked["engine"], masked["sparse_layers"]) == ("masked", [])
    assert sparse["engine"] == "sparse"
    assert sparse["sparse_layers"] == list(dict.fromkeys(row["name"].rpartition(".")[0] for row in sparse["layers"]))
    mask = Mask.load(tmp_path / "sparse" / "mask.safetensors")
    assert mask == Mask.load(tmp_path / "masked" / "mask.safetensors")
    own, theirs = (load_file(tmp_path / kind / "model.safetensors") for kind in ("sparse", "masked"))
    assert {name: (w.shape, w.dtype) for name, w in own.items()} == {n: (w.shape, w.dtype) for n, w in theirs.items()}
    for name, weight in own.items():
        torch.testing.assert_close(weight, theirs[name], rtol=1e-3, atol=1e-4, msg=name)
        if name in mask:
            assert not weight[~mask[name]].any()
    same = ("kept", "prunable", "parameters", "layers", "cost", "collapse", "first_layer", "touches", "steps")
    assert {key: sparse[key] for key in same} == {key: masked[key] for key in same}
    assert sparse["test_error_final_pct"] == pytest.approx(masked["test_error_final_pct"], abs=1.0)
    assert not any("wall-clock" in line for line in sparse["not_measured"])
    assert any("wall-clock" in line for line in masked["not_measured"])
    assert sparse["environment"]["instruction_set"] in ("avx512", "avx2", "portable", "reference")


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_layers_left_dense_are_held_by_the_mask(small, tmp_path, auto_wins, optimizer):
    auto_wins("fc1", "fc3")
    recipe = dataclasses.replace(small, engine="auto", optimizer=optimizer, learning_rate=0.01)
    result = run(recipe, tmp_path)
    assert (result["engine"], result["sparse_layers"]) == ("sparse", ["fc1", "fc3"])
    weights = load_file(tmp_path / "model.safetensors")
    for name, keep in Mask.load(tmp_path / "mask.safetensors").items():
        assert not weights[name][~keep].any()
        assert weights[name][keep].all()


@pytest.mark.parametrize("changes", [{}, {"optimizer": "adam", "learning_rate": 0.001}], ids=["momentum", "adam"])
@pytest.mark.parametrize("stop", [3, 16])
def test_a_resumed_run_has_the_sparse_layers_it_began_with(small, tmp_path, auto_wins, changes, stop):
    recipe = dataclasses.replace(small, engine="auto", **changes)
    auto_wins("fc1", "fc2")
    whole = run(recipe, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "parts", on_progress=stop_at(stop))
    auto_wins("fc3")  # another machine, or another hour
    parts = run(recipe, tmp_path / "parts", resume=True)
    assert parts["sparse_layers"] == whole["sparse_layers"] == ["fc1", "fc2"]
    for name in FILES:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes(), name


def test_a_killed_run_goes_on_from_its_checkpoint(small, tmp_path):
    recipe = dataclasses.replace(small, model="resnet-20", engine="sparse", budget="10it", evaluate_every="4it")
    program = (
        "import os, signal, sys, torch\n"
        "from thresher.experiments import Recipe, run\n"
        "torch.set_num_threads(int(sys.argv[3]))\n"
        "die = lambda progress: progress.step == 7 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "run(Recipe.from_json(sys.argv[1], 'here'), sys.argv[2], checkpoint_every=3, on_progress=die)\n"
    )
    words = [sys.executable, "-c", program, recipe.to_json(), str(tmp_path / "killed"), str(torch.get_num_threads())]
    assert subprocess.run(words, env=os.environ, check=False).returncode == -signal.SIGKILL
    run(recipe, tmp_path / "killed", resume=True)
    run(recipe, tmp_path / "whole")
    for name in FILES:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name


@pytest.mark.parametrize(
    "content", [None, "{", "[]", "{}", '{"sparse_layers": 3}', '{"sparse_layers": ["fc9", "fc1"]}']
)
def test_a_choice_that_is_lost_is_not_made_anew(small, tmp_path, content):
    recipe = dataclasses.replace(small, engine="sparse")
    with pytest.raises(Interrupted):
        run(recipe, tmp_path, on_progress=stop_at(5))
    if content is None:
        (tmp_path / "engine.json").unlink()
    else:
        (tmp_path / "engine.json").write_text(content)
    with pytest.raises(FileFormatError, match=r"engine\.json"):
        run(recipe, tmp_path, resume=True)


def test_where_nothing_wins_the_mask_is_simulated(small, tmp_path, auto_wins):
    auto_wins()
    result = run(dataclasses.replace(small, engine="auto", budget="2it"), tmp_path)
    assert (result["engine"], result["sparse_layers"]) == ("masked", [])
    assert "instruction_set" not in result["environment"]


@pytest.mark.parametrize(
    "changes",
    [
        {"engine": "masked"},
        {"engine": "auto", "holding": "freeze"},
        {"engine": "auto", "holding": "straight-through"},
        {"engine": "auto", "method": "dense", "sparsity": 0.0},
        {"engine": "dense", "method": "dense", "sparsity": 0.0},
    ],
)
def test_no_layer_is_sparse_where_it_may_not_be(small, auto_wins, changes):
    auto_wins("fc1", "fc2", "fc3")
    model = build("lenet-300-100", input_shape=(1, 8, 8))
    recipe = dataclasses.replace(small, **changes)
    assert choose_sparse_layers(recipe, model, half(model)) == ()
    trained, rule = equipped(recipe, model, half(model), ())
    assert trained is model
    assert (rule is None) == (recipe.method == "dense")


def test_other_devices_simulate_and_sparse_is_refused_there(small, auto_wins, tmp_path):
    auto_wins("fc1")
    elsewhere = build("lenet-300-100", input_shape=(1, 8, 8)).to("meta")
    auto = dataclasses.replace(small, engine="auto")
    assert choose_sparse_layers(auto, elsewhere, half(build("lenet-300-100", input_shape=(1, 8, 8)))) == ()
    with pytest.raises(ArgumentError, match=r"runs on the CPU: on meta .* 'masked'"):
        run(dataclasses.replace(small, engine="sparse"), tmp_path / "run", device="meta")
    assert not (tmp_path / "run").exists()


def test_auto_asks_about_batches_of_the_recipe(small, monkeypatch):
    asked = []
    monkeypatch.setattr(engine, "sparsify", lambda model, mask, policy, batch: asked.append((policy, batch)) or model)
    model = build("lenet-300-100", input_shape=(1, 8, 8))
    assert choose_sparse_layers(dataclasses.replace(small, engine="auto"), model, half(model)) == ()
    assert asked == [("auto", 32)]


def test_recurrent_layers_are_one_layer_with_several_tensors():
    recipe = Recipe(data="mnist", model="lstm-s", method="random", sparsity=0.5, engine="sparse")
    model = build("lstm-s")
    mask = half(model)
    layers = choose_sparse_layers(recipe, model, mask)
    assert layers == ("fc1", "rnn", "fc2")
    assert len(mask) == 4
    trained, rule = equipped(recipe, model, mask, layers)
    assert rule is None
    assert sum(p.numel() for n, p in trained.named_parameters() if n in mask) == mask.kept


def test_what_is_written_is_read(tmp_path):
    mask = Mask({"a.b.weight": torch.tensor([True]), "c.weight": torch.tensor([True])})
    for names in (("a.b", "c"), ("c",), ()):
        engine.write_sparse_layers(tmp_path / "engine.json", names)
        assert read_sparse_layers(tmp_path / "engine.json", mask) == names
    assert json.loads((tmp_path / "engine.json").read_text()) == {"sparse_layers": []}
