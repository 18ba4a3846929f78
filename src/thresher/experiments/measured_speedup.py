"""Measured speedup: a run's time of a training step held against that of comparable dense runs."""

import statistics
from collections.abc import Iterable

from thresher.experiments.study_run import StudyRun
from thresher.experiments.task import same_task

# a second on one machine says nothing about a second on another
_MACHINE = ("processor", "cores", "threads", "device", "torch")


def measured_speedup(run: StudyRun, others: Iterable[StudyRun]) -> float | str:
    """Median seconds per step of the comparable dense runs among `others`, over those of `run`; or why there is none.

    Comparable are finished dense runs of the same task on the same processor with as many threads, the same device
    and the same torch. What else the machine did at the time nobody knows: it is a speed under the load that there
    was. A run with engine "masked" computes with dense layers, and its speedup is about 1.
    """
    if run.result is None:
        return "the run has no result"
    if not (run.result["seconds_per_step"] or 0.0) > 0.0:
        return "the run has no time per step"
    dense = [
        other.result
        for other in others
        if other.recipe.method == "dense" and other.result is not None and same_task(run.recipe, other.recipe)
    ]
    if not dense:
        return "no dense run of the same model, data and training is finished"
    here = run.result["environment"]
    seconds = [
        result["seconds_per_step"]
        for result in dense
        if result["seconds_per_step"] and all(result["environment"].get(key) == here.get(key) for key in _MACHINE)
    ]
    if not seconds:
        there = dense[0]["environment"]
        unlike = [f"{key} {there.get(key)}, not {here.get(key)}" for key in _MACHINE if there.get(key) != here.get(key)]
        return f"the dense runs were made elsewhere: {'; '.join(unlike)}" if unlike else "no dense run was timed"
    return float(statistics.median(seconds) / run.result["seconds_per_step"])
