"""What a run found, as one JSON object: errors, sizes, costs, what was cut off, what was read, where."""

import dataclasses
import math
from typing import Any

from thresher.analysis import Cost, collapse, cost
from thresher.core.mask import Mask
from thresher.core.prunable import prunable
from thresher.experiments.engine import engine_of
from thresher.experiments.recipe import Recipe
from thresher.experiments.tally import Tally
from thresher.models import ImageClassifier
from thresher.training import Outcome


def result_of(
    recipe: Recipe,
    model: ImageClassifier,
    mask: Mask,
    sparse_layers: tuple[str, ...],
    outcome: Outcome,
    tally: Tally,
    environment: dict[str, Any],
    seconds_pruning: float,
) -> dict[str, Any]:
    """The content of result.json; see docs/run-directory.md for the meaning of every field."""
    # frozen weights are still computed with
    bill = cost(model, None if recipe.holding == "freeze" else mask)
    cut = collapse(model, mask)
    engine = engine_of(recipe, sparse_layers)
    figures = {f.name: getattr(outcome, f.name) for f in dataclasses.fields(outcome) if f.name != "rows"}
    return {
        "run": recipe.name,
        "recipe_hash": recipe.hash,
        "status": "finished",
        "sparsity": mask.sparsity,
        "kept": mask.kept,
        "prunable": mask.total,
        "parameters": bill.parameters,
        "engine": engine,
        "sparse_layers": list(sparse_layers),
        **figures,
        "seconds_pruning": seconds_pruning,
        "layers": layer_rows(bill, mask),
        "cost": cost_summary(bill),
        "collapse": {
            "collapsed_layers": list(cut.collapsed_layers),
            "units_without_input": {name: len(units) for name, units in cut.units_without_input.items()},
            "units_without_output": {name: len(units) for name, units in cut.units_without_output.items()},
            "effective_kept": cut.effective_kept,
            "effective_sparsity": cut.effective_sparsity,
            "disconnected": cut.disconnected,
            "summary": cut.describe(),
        },
        "first_layer": _first_layer(model),
        "touches": tally.rows(),
        "environment": environment,
        "not_measured": _not_measured(recipe, engine),
    }


def layer_rows(bill: Cost, mask: Mask) -> list[dict[str, Any]]:
    """One row per tensor under the mask: name, shape, total, kept, sparsity, dense and kept multiply-adds."""
    counts, sparsities = mask.counts, mask.sparsities
    return [
        {
            **dataclasses.asdict(layer),
            "shape": list(layer.shape),
            "kept": counts[layer.name],
            "sparsity": sparsities[layer.name],
        }
        for layer in bill.layers
        if layer.name in mask
    ]


def cost_summary(bill: Cost) -> dict[str, Any]:
    """Parameters, multiply-adds and their ratios; None for a ratio without end, which JSON cannot write."""
    return {
        "parameters": bill.parameters,
        "kept_parameters": bill.kept_parameters,
        "compression_ratio": _finite(bill.compression_ratio),
        "dense_macs": bill.dense_macs,
        "kept_macs": bill.kept_macs,
        "theoretical_speedup": _finite(bill.theoretical_speedup),
        "unweighted_macs": bill.unweighted_macs,
    }


def _finite(ratio: float) -> float | None:
    return ratio if math.isfinite(ratio) else None  # JSON has no infinity


def _first_layer(model: ImageClassifier) -> dict[str, Any] | None:
    """The first prunable weight and the image it reads, where it reads one."""
    name, weight = next(iter(prunable(model).items()))
    shape = model.input_shape
    reads_pixels = weight.dim() == 2 and weight.shape[1] == math.prod(shape)
    reads_channels = weight.dim() == 4 and weight.shape[1] == shape[0]
    return {"name": name, "input_shape": list(shape)} if reads_pixels or reads_channels else None


def _not_measured(recipe: Recipe, engine: str) -> list[str]:
    missing = ["variation over seeds: this is one run with one seed"]
    if recipe.method != "dense":
        missing += [
            "the dense network's error under the same recipe: run it with --method dense",
            "random pruning at the same sparsity, the control: run it with --method random",
        ]
        if engine == "masked":
            missing.append("wall-clock speed of truly sparse layers: this run simulated sparsity with dense arithmetic")
        missing.append("how the mask depends on the initial weights, and on the examples it was scored with if any")
    if recipe.holding == "freeze":
        missing.append("a smaller network: removed weights are frozen at their initial value and computed with")
    missing.append(
        "privacy: what the run read is listed above (the mean and deviation of the training inputs are not), "
        "and no privacy loss was computed"
    )
    return missing
