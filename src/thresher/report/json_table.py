"""A study's cells as plain objects, every number in full."""

import dataclasses
from typing import Any

from thresher.experiments.interval import Estimate
from thresher.experiments.paired import Comparison
from thresher.experiments.study_run import StudyRun
from thresher.experiments.summary import Cell, Summary


def study_document(summary: Summary) -> dict[str, Any]:
    """`summary` as an object ready for JSON: its measure and confidence, and each cell with its runs."""
    return {
        "measure": summary.measure,
        "confidence": summary.confidence,
        "num_comparisons": summary.num_comparisons,
        "cells": [_cell(cell, summary.measure) for cell in summary.cells],
    }


def _cell(cell: Cell, measure: str) -> dict[str, Any]:
    counts = {f.name: getattr(cell, f.name) for f in dataclasses.fields(cell) if f.name.startswith("num_")}
    recipe = dataclasses.asdict(cell.recipe)
    del recipe["seed"]
    return {
        "data": cell.recipe.data,
        "model": cell.recipe.model,
        "label": cell.label,
        "sparsity": cell.recipe.sparsity,
        "num_runs": len(cell.runs),
        **counts,
        "error": _estimate(cell.error),
        "among_best": cell.among_best,
        "against_dense": _comparison(cell.against_dense),
        "against_random": _comparison(cell.against_random),
        "recipe": recipe,
        "runs": [_run(run, measure) for run in cell.runs],
    }


def _estimate(found: Estimate | None) -> dict[str, Any] | None:
    if found is None:
        return None
    low, high = found.interval or (None, None)
    return {
        "n": found.n,
        "mean": found.mean,
        "deviation": found.deviation,
        "low": low,
        "high": high,
        "minimum": found.minimum,
        "maximum": found.maximum,
    }


def _comparison(pair: Comparison | None) -> dict[str, Any] | None:
    if pair is None:
        return None
    return {"against": pair.against, "verdict": pair.verdict, "difference": _estimate(pair.difference)}


def _run(run: StudyRun, measure: str) -> dict[str, Any]:
    return {
        "run": run.recipe.name,
        "seed": run.recipe.seed,
        "state": run.state,
        "error": run.error(measure),
        "diverged": run.diverged,
        "collapsed": run.collapsed,
        "at_chance": run.at_chance(measure),
        "failure": None if run.failure is None or run.state != "failed" else dict(run.failure),
    }
