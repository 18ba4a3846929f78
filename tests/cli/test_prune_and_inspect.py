import json
import pickle
import textwrap

import pytest
import torch
from safetensors.torch import load_file, save_file

from thresher.cli.main import main
from thresher.core.mask import Mask
from thresher.models import build


def call(capsys, *words):
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    captured = capsys.readouterr()
    return stop.value.code or 0, captured.out, captured.err


@pytest.fixture
def factories(tmp_path, monkeypatch):
    """A user's module in the current folder."""
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
            def number():
                return 3
            def broken():
                raise RuntimeError("no weights\\nfor you")
            def barren():
                return torch.nn.ReLU()
            def vector_batches():
                return [torch.randn(5, 6)]
            """
        )
    )
    monkeypatch.chdir(tmp_path)
    return name


def checkpoint_of(model, path):
    if path.suffix == ".safetensors":
        save_file(model.state_dict(), path)
    else:
        torch.save({"state_dict": model.state_dict()}, path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_magnitude_of_a_known_model_keeps_the_largest(capsys, tmp_path, suffix):
    model = build("lenet-300-100", seed=7)
    file = checkpoint_of(model, tmp_path / f"model{suffix}")
    code, out, _ = call(
        capsys,
        "prune",
        "--model",
        "lenet-300-100",
        "--checkpoint",
        file,
        "--sparsity",
        0.95,
        "--json",
        "--out",
        tmp_path / "mask.safetensors",
        "--weights-out",
        tmp_path / "pruned.safetensors",
    )
    assert code == 0
    assert json.loads(out.splitlines()[-1])["kept"] == 13310
    mask = Mask.load(tmp_path / "mask.safetensors")
    sizes = torch.cat([model.get_parameter(name).detach().abs().flatten() for name in mask])
    threshold = sizes.sort(descending=True).values[13309]
    for name, kept in mask.items():
        assert kept.equal(model.get_parameter(name).abs() >= threshold)
        assert load_file(tmp_path / "pruned.safetensors")[name].equal(model.get_parameter(name) * kept)


def test_a_factory_and_its_own_batches(capsys, tmp_path, factories):
    code, out, _ = call(
        capsys,
        "prune",
        "--model",
        f"{factories}:net",
        "--method",
        "snip",
        "--batches",
        f"{factories}:batches",
        "--sparsity",
        0.5,
        "--out",
        "mask.safetensors",
    )
    assert code == 0
    assert Mask.load(tmp_path / "mask.safetensors").kept == 36
    assert "kept 36 of 72" in out


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("broken", "raised RuntimeError: no weights for you"),
        ("number", "returned int; expected a torch.nn.Module"),
        ("absent", "has no 'absent'"),
        ("barren", "nothing to prune"),
    ],
)
def test_factories_that_fail_are_answered_in_one_line(capsys, tmp_path, factories, function, message):
    code, _, err = call(capsys, "prune", "--model", f"{factories}:{function}", "--sparsity", 0.5)
    assert code == 1
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "mask.safetensors").exists()


def test_a_module_that_is_not_there_and_batches_that_are_none(capsys, factories):
    assert "cannot import no_such" in call(capsys, "prune", "--model", "no_such:f", "--sparsity", 0.5)[2]
    words = ["prune", "--model", f"{factories}:net", "--method", "snip", "--sparsity", 0.5]
    assert "pairs" in call(capsys, *words, "--batches", f"{factories}:vector_batches")[2]
    assert "expects an iterable of" in call(capsys, *words, "--batches", f"{factories}:number")[2]


def test_weights_of_another_model_are_listed(capsys, tmp_path):
    file = checkpoint_of(build("lenet-5-caffe"), tmp_path / "model.safetensors")
    code, _, err = call(capsys, "prune", "--model", "lenet-300-100", "--checkpoint", file, "--sparsity", 0.5)
    assert code == 1
    assert "fc3.weight is missing" in err
    assert "conv1.weight is not in the model" in err


# each makes torch's unpickler fail in a way of its own
@pytest.mark.parametrize("content", [b"", b"broken\n", b"M", b"c\xff\n", b"K\x01.", b"PK\x03\x04"])
def test_a_file_of_other_bytes_is_refused_in_one_line(capsys, tmp_path, content):
    file = tmp_path / "model.pt"
    file.write_bytes(content)
    code, _, err = call(capsys, "inspect", file)
    assert code == 1
    assert err.count("\n") == 1
    assert "model.pt" in err


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


def test_a_file_that_would_execute_something_is_refused(capsys, tmp_path):
    file = tmp_path / "model.pt"
    torch.save({"weight": torch.zeros(2), "bomb": Bomb()}, file)
    for words in (["inspect", file], ["prune", "--model", "lenet-300-100", "--checkpoint", file, "--sparsity", "0.5"]):
        code, _, err = call(capsys, *words)
        assert code == 1
        assert "not a readable checkpoint" in err
    plain = tmp_path / "plain.pkl"
    plain.write_bytes(pickle.dumps(Bomb()))
    assert call(capsys, "inspect", plain)[0] == 1


@pytest.mark.parametrize("cut", [0, 5, 100, -1])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_files_cut_short_are_refused(capsys, tmp_path, suffix, cut):
    file = checkpoint_of(build("mlp-2"), tmp_path / f"model{suffix}")
    file.write_bytes(file.read_bytes()[:cut])
    code, _, err = call(capsys, "inspect", file)
    assert code == 1
    assert str(file) in err


def test_inspect_a_mask_with_and_without_its_model(capsys, tmp_path):
    tensors = {name: torch.rand(p.shape) < 0.3 for name, p in build("mlp-2").named_parameters() if "weight" in name}
    mask = Mask(tensors)
    mask.save(tmp_path / "mask.safetensors")
    _, out, _ = call(capsys, "inspect", tmp_path / "mask.safetensors", "--json")
    alone = json.loads(out)
    assert (alone["kept"], alone["cost"]) == (mask.kept, None)
    _, out, _ = call(capsys, "inspect", tmp_path / "mask.safetensors", "--model", "mlp-2", "--json")
    known = json.loads(out)
    assert known["cost"]["kept_macs"] == mask.kept
    code, _, err = call(capsys, "inspect", tmp_path / "mask.safetensors", "--model", "lenet-5-caffe")
    assert code == 1
    assert "another model" in err


def test_inspect_counts_zeros_of_a_checkpoint(capsys, tmp_path):
    model = build("mlp-2")
    with torch.no_grad():
        model.fc1.weight[:50] = 0.0
    file = checkpoint_of(model, tmp_path / "model.pt")
    _, out, _ = call(capsys, "inspect", file, "--json")
    assert json.loads(out)["kept"] == 50 * 784 + 1000


def test_inspect_a_folder_that_is_no_run(capsys, tmp_path):
    code, _, err = call(capsys, "inspect", tmp_path)
    assert code == 1
    assert "no run directory" in err


def test_a_known_model_takes_the_form_of_the_data(capsys, tmp_path):
    words = ["prune", "--model", "lenet-300-100", "--method", "snip", "--data", "digits", "--sparsity", 0.9, "--json"]
    code, out, _ = call(capsys, *words, "--out", tmp_path / "mask.bin")
    assert code == 0
    assert json.loads(out.splitlines()[-1])["kept"] == 5020
    # a mask is a mask whatever its name
    _, out, _ = call(capsys, "inspect", tmp_path / "mask.bin", "--json")
    assert json.loads(out)["kind"] == "mask"


def test_inputs_the_model_does_not_take_are_one_line(capsys, factories):
    words = ["prune", "--model", f"{factories}:net", "--method", "snip", "--sparsity", 0.5, "--data", "digits"]
    code, _, err = call(capsys, *words)
    assert code == 1
    assert "does not take these inputs" in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["mask.safetensors", "weights.pt"])
def test_weights_go_to_a_safetensors_file_of_their_own(capsys, tmp_path, name):
    words = ["prune", "--model", "mlp-2", "--sparsity", 0.5, "--out", tmp_path / "mask.safetensors"]
    code, _, err = call(capsys, *words, "--weights-out", tmp_path / name)
    assert code == 2
    assert "--weights-out" in err
    assert not list(tmp_path.iterdir())


def test_a_factory_that_exits_is_answered(capsys, tmp_path, monkeypatch):
    (tmp_path / "leaver.py").write_text("def net():\n    raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    code, _, err = call(capsys, "prune", "--model", "leaver:net", "--sparsity", 0.5)
    assert code == 1
    assert "raised SystemExit: 3" in err


def test_a_model_that_does_not_take_the_guessed_input_still_gets_its_mask(capsys, tmp_path, monkeypatch):
    (tmp_path / "crossed.py").write_text(
        textwrap.dedent(
            """
            from torch import nn
            class Crossed(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.second, self.first = nn.Linear(4, 2), nn.Linear(8, 4)
                def forward(self, x):
                    return self.second(self.first(x))
            """
        )
    )
    monkeypatch.chdir(tmp_path)
    words = ["prune", "--model", "crossed:Crossed", "--sparsity", 0.5, "--on-collapse", "ignore", "--json"]
    code, out, _ = call(capsys, *words)
    assert code == 0
    assert json.loads(out)["cost"] is None
    assert Mask.load(tmp_path / "mask.safetensors").kept == 20
    code, out, _ = call(capsys, *words, "--input-shape", "8")
    assert json.loads(out)["cost"]["kept_macs"] == 20
    code, _, err = call(capsys, *words, "--input-shape", "3")
    assert code == 2
    assert "does not run on an input of shape (3,)" in err
