"""Studies as runs leave them, drawn from a seed: no training, every number known."""

import json

import numpy as np
import pytest

from thresher.experiments import Recipe
from thresher.experiments.study_run import StudyRun
from thresher.experiments.summary import summarize

LAYERS = {"fc1.weight": 235200, "fc2.weight": 30000, "fc3.weight": 1000}
MACHINE = {"processor": "a processor", "cores": 2, "threads": 1, "device": "cpu", "platform": "Linux"}
VERSIONS = {"thresher": "0.1.0", "code": "a" * 64, "python": "3.11", "torch": "2.13", "numpy": "2.4"}
LEVELS = {"dense": 2.0, "random": 20.0, "snip": 4.0, "magnitude": 6.0}


def drawn_result(recipe, error, seconds=1e-3, empty=(), **environment):
    """The object of result.json, as far as a study reads it."""
    kept = 1.0 - recipe.sparsity
    layers = [
        {"name": name, "total": total, "kept": 0 if name in empty else max(1, round(total * kept))}
        for name, total in LAYERS.items()
    ]
    return {
        "run": recipe.name,
        "engine": "dense" if recipe.method == "dense" else "sparse",
        "test_error_final_pct": error,
        "test_error_best_pct": error,
        "test_error_at_best_validation_pct": error,
        "seconds": 30.0,
        "seconds_pruning": 2.0,
        "seconds_per_step": seconds,
        "layers": layers,
        "cost": {"theoretical_speedup": 1.0 / kept},
        "collapse": {"collapsed_layers": list(empty), "disconnected": bool(empty), "summary": "nothing gets through"},
        "environment": MACHINE | VERSIONS | {"started": "2026-11-20T10:00:00+00:00"} | environment,
    }


def drawn_study(folder, seeds=3, models=("lenet-300-100",), sparsities=(0.8, 0.95), data="digits"):
    """Runs of dense, random, snip and magnitude in `folder`, each with metrics and a page of its own."""
    runs = []
    for model in models:
        cells = [("dense", 0.0), *((m, s) for m in LEVELS if m != "dense" for s in sparsities)]
        for method, sparsity in cells:
            for seed in range(seeds):
                recipe = Recipe(data=data, model=model, method=method, sparsity=sparsity, seed=seed)
                noise = np.random.default_rng([seed, len(method), int(1000 * sparsity)]).normal(0.0, 0.2)
                error = LEVELS[method] * (1.0 + sparsity) + 0.5 * seed + noise
                directory = folder / recipe.name
                directory.mkdir(parents=True)
                rows = [{"epoch": float(e), "test_error_pct": error + 40.0 * 0.5**e} for e in range(1, 6)]
                (directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
                (directory / "report.html").write_text("<p>a run</p>")
                result = drawn_result(recipe, float(error), 1e-3 * (1.0 - 0.5 * sparsity) * (1.0 + seed * sparsity**2))
                runs.append(StudyRun(recipe, result, None, directory))
    return runs


def troubled_study(folder):
    """The same with runs that failed, diverged, collapsed, learned nothing or are not there."""
    runs = drawn_study(folder, seeds=5)
    snip = [i for i, run in enumerate(runs) if run.recipe.method == "snip" and run.recipe.sparsity == 0.95]
    recipes = [runs[i].recipe for i in snip]
    runs[snip[0]] = StudyRun(recipes[0], failure={"type": "NonFiniteError", "message": "the loss is nan <at> step 3"})
    runs[snip[1]] = StudyRun(recipes[1], failure={"type": "DataError", "message": "no such file & folder"})
    runs[snip[2]] = StudyRun(recipes[2])
    runs[snip[3]] = StudyRun(recipes[3], drawn_result(recipes[3], 90.0, empty=["fc2.weight"]))
    return runs


@pytest.fixture
def runs(tmp_path):
    return drawn_study(tmp_path / "runs")


@pytest.fixture
def summary(runs):
    return summarize(runs)


@pytest.fixture
def troubled(tmp_path):
    return summarize(troubled_study(tmp_path / "troubled"))


@pytest.fixture
def maker(tmp_path):
    """`drawn_study` in the test's own folder, summarized."""
    return lambda **arguments: summarize(drawn_study(tmp_path / "made", **arguments))


@pytest.fixture
def result_of():
    """`drawn_result`."""
    return drawn_result
