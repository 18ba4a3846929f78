"""Run directories as a finished run leaves them, drawn from a seed: no training, every number known."""

import json
from pathlib import Path

import pytest
import torch

from thresher.core import Mask, generator, kept_count, top_k
from thresher.report import write_report

LENET = {"fc1.weight": (300, 784), "fc2.weight": (100, 300), "fc3.weight": (10, 100)}
CONVNET = {"conv1.weight": (32, 3, 5, 5), "conv2.weight": (64, 32, 5, 5), "fc.weight": (10, 1024)}


def resnet_110():
    """Names and shapes of the 3×3 convolutions and the classifier of ResNet-110 for CIFAR-10."""
    shapes = {"stem.weight": (16, 3, 3, 3)}
    width = 16
    for stage, channels in enumerate((16, 32, 64), start=1):
        for block in range(18):
            shapes[f"stage{stage}.{block}.conv1.weight"] = (channels, width, 3, 3)
            shapes[f"stage{stage}.{block}.conv2.weight"] = (channels, channels, 3, 3)
            width = channels
    return shapes | {"classifier.weight": (10, 64)}


def drawn_mask(shapes, seed, sparsity, empty=()):
    """A mask of exactly `sparsity`: seeded scores, higher in small layers, none kept of those in `empty`."""
    source = generator(seed, "report test")
    largest = max(torch.Size(shape).numel() for shape in shapes.values())
    scores = {}
    for name, shape in shapes.items():
        score = torch.rand(shape, generator=source) ** (torch.Size(shape).numel() / largest) ** 0.25
        if name == "fc1.weight":  # the middle of a digit's image matters most
            y, x = torch.meshgrid(torch.linspace(-1, 1, 28), torch.linspace(-1, 1, 28), indexing="ij")
            score *= 1.05 * torch.exp(-0.15 * (x**2 + y**2)).reshape(1, -1)
        scores[name] = score * (0.0 if name in empty else 1.0)
    flat = torch.cat([score.reshape(-1) for score in scores.values()])
    kept = top_k(flat, kept_count(len(flat), sparsity)).split([score.numel() for score in scores.values()])
    return Mask({name: part.reshape(scores[name].shape) for (name, _), part in zip(scores.items(), kept, strict=True)})


def drawn_rows(seed, evaluations, validation=True):
    """Learning curves that fall and flatten, with noise."""
    noise = torch.rand(evaluations, 6, generator=generator(seed, "report test curves")).tolist()
    rows = []
    for index in range(evaluations):
        fall = 0.5**index
        row = {"step": 540 * index, "epoch": float(index), "learning_rate": 0.1}
        for column, split in enumerate(("train", "validation", "test")):
            measured = validation or split != "validation"
            error = 1.0 + 0.6 * column + 88.0 * fall + 0.3 * noise[index][column]
            loss = 0.03 + 0.02 * column + 2.2 * fall + 0.01 * noise[index][3 + column]
            row[f"{split}_loss"] = loss if measured else None
            row[f"{split}_error_pct"] = error if measured else None
        rows.append(row)
    return rows


def drawn_result(mask, rows, seed, positions=1, first_layer=None, empty=(), bypassed=False):
    """The object of result.json for `mask` and `rows`; times and reachability are drawn."""
    timing = torch.rand(4, generator=generator(seed, "report test times")).tolist()
    layers = [
        {
            "name": name,
            "shape": list(tensor.shape),
            "total": tensor.numel(),
            "kept": int(tensor.sum()),
            "sparsity": 1 - int(tensor.sum()) / tensor.numel(),
            "dense_macs": tensor.numel() * (positions if tensor.ndim > 2 else 1),
            "kept_macs": int(tensor.sum()) * (positions if tensor.ndim > 2 else 1),
        }
        for name, tensor in mask.items()
    ]
    dense, kept = sum(n["dense_macs"] for n in layers), sum(n["kept_macs"] for n in layers)
    parameters = mask.total + 410
    test = min(rows, key=lambda row: row["test_error_pct"])
    measured = [row for row in rows if row["validation_error_pct"] is not None]
    best = min(measured, key=lambda row: row["validation_error_pct"]) if measured else None
    idle = 0 if mask.kept == mask.total else mask.kept // 43
    if empty and not bypassed:
        idle = mask.kept
    names = list(mask)
    return {
        "run": f"drawn-{seed}",
        "recipe_hash": "3f9c2a71d05e",
        "status": "finished",
        "sparsity": mask.sparsity,
        "kept": mask.kept,
        "prunable": mask.total,
        "parameters": parameters,
        "engine": "masked",
        "steps": rows[-1]["step"],
        "epochs": rows[-1]["epoch"],
        "test_error_final_pct": rows[-1]["test_error_pct"],
        "test_error_best_pct": test["test_error_pct"],
        "test_error_best_step": test["step"],
        "test_error_at_best_validation_pct": best and best["test_error_pct"],
        "validation_error_best_pct": best and best["validation_error_pct"],
        "validation_error_best_step": best and best["step"],
        "validation_error_final_pct": best and rows[-1]["validation_error_pct"],
        "seconds": 40 + 50 * timing[0],
        "seconds_pruning": timing[1],
        "seconds_per_step": 1e-3 + 1e-3 * timing[2],
        "examples_per_second": 5e4 + 5e4 * timing[3],
        "layers": layers,
        "cost": {
            "parameters": parameters,
            "kept_parameters": mask.kept + 410,
            "compression_ratio": parameters / (mask.kept + 410),
            "dense_macs": dense,
            "kept_macs": kept,
            "theoretical_speedup": dense / kept,
            "unweighted_macs": 0,
        },
        "collapse": {
            "collapsed_layers": list(empty),
            "units_without_input": {names[0]: 3} if idle else {},
            "units_without_output": {names[0]: 5, names[1]: 2} if idle else {},
            "effective_kept": mask.kept - idle,
            "effective_sparsity": 1 - (mask.kept - idle) / mask.total,
        },
        "first_layer": first_layer,
        "touches": [
            {"dataset": "mnist/train", "purpose": "snip", "count": 100, "times": 1},
            {"dataset": "mnist/train", "purpose": "train", "count": 54000, "times": 20},
            {"dataset": "mnist/train", "purpose": "validation", "count": 6000, "times": len(rows)},
            {"dataset": "mnist/test", "purpose": "test", "count": 10000, "times": len(rows)},
        ],
        "environment": {
            "thresher": "0.1.0",
            "code": "sha256:9d4e1f2b7a",
            "python": "3.11.7",
            "torch": "2.13.0",
            "numpy": "2.4.6",
            "platform": "Linux-6.1-x86_64",
            "processor": "x86_64, AVX-512",
            "threads": 2,
            "device": "cpu",
            "started": "2026-11-20T10:00:00+00:00",
        },
        "not_measured": ["wall-clock speedup of truly sparse layers", "energy"],
    }


def drawn_recipe(model, seed, sparsity):
    """The object of recipe.json."""
    return {
        "data": "mnist",
        "model": model,
        "method": "snip",
        "sparsity": sparsity,
        "seed": seed,
        "epochs": 20,
        "optimizer": "momentum",
        "learning_rate": 0.1,
        "batch_size": 100,
        "weight_decay": 0.0005,
        "schedule": "step",
        "rewind": None,
        "augment": False,
    }


def write_run(directory: Path, recipe, rows, result, mask) -> Path:
    """`directory` with the four files of a run that the report reads."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "recipe.json").write_text(json.dumps(recipe), encoding="utf-8")
    (directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (directory / "result.json").write_text(json.dumps(result), encoding="utf-8")
    mask.save(directory / "mask.safetensors")
    return directory


def make_run(
    directory: Path,
    *,
    seed=0,
    shapes=LENET,
    model="lenet-300-100",
    sparsity=0.95,
    evaluations=21,
    validation=True,
    empty=(),
    bypassed=False,
    positions=1,
    first_layer=("fc1.weight", (1, 28, 28)),
    recipe=None,
    result=None,
) -> Path:
    """A finished run in `directory`; `recipe` and `result` replace fields of the drawn ones."""
    mask = drawn_mask(shapes, seed, sparsity, empty)
    rows = drawn_rows(seed, evaluations, validation)
    first = first_layer and {"name": first_layer[0], "input_shape": list(first_layer[1])}
    drawn = drawn_result(mask, rows, seed, positions, first, empty, bypassed)
    return write_run(
        directory, drawn_recipe(model, seed, sparsity) | (recipe or {}), rows, drawn | (result or {}), mask
    )


def variants() -> dict:
    """Kinds of run that each stress another part of the page: name → arguments of `make_run`."""
    return {
        "usual": {},
        "no-validation": {"validation": False},
        "dense": {"sparsity": 0.0},
        "collapsed": {"empty": ("fc2.weight",)},
        "one-evaluation": {"evaluations": 1},
        "convolutional": {
            "shapes": CONVNET,
            "model": "convnet",
            "positions": 144,
            "first_layer": ("conv1.weight", (3, 32, 32)),
        },
        "resnet-110": {
            "shapes": resnet_110(),
            "model": "resnet-110",
            "sparsity": 0.98,
            "positions": 256,
            "evaluations": 160,
            "first_layer": ("stem.weight", (3, 32, 32)),
            "empty": ("stage1.7.conv2.weight", "stage3.2.conv1.weight"),
            "bypassed": True,
        },
    }


@pytest.fixture
def run_maker(tmp_path):
    """`make_run`, writing under the test's own directory."""
    return lambda name="run", **arguments: make_run(tmp_path / name, **arguments)


@pytest.fixture(scope="session", params=sorted(variants()))
def every_run(request, tmp_path_factory):
    """A run directory of each kind in turn, its report written."""
    directory = make_run(tmp_path_factory.mktemp(request.param) / "run", **variants()[request.param])
    write_report(directory)
    return directory


@pytest.fixture(scope="session")
def usual_run(tmp_path_factory):
    """A run directory with nothing unusual about it, its report written."""
    directory = make_run(tmp_path_factory.mktemp("usual") / "run")
    write_report(directory)
    return directory


@pytest.fixture
def run_of_many_layers(run_maker):
    """The run directory of a deep residual network."""
    return run_maker(**variants()["resnet-110"])


@pytest.fixture(scope="session")
def drawn_layers():
    """Layers as in result.json, one of which keeps nothing."""
    mask = drawn_mask(LENET, 3, 0.9, ("fc2.weight",))
    return drawn_result(mask, drawn_rows(3, 2), 3)["layers"]
