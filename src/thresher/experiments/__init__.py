"""Experiments: recipes in, runs out; many of them in a store, made by workers from a queue."""

from thresher.experiments.comparison import comparison
from thresher.experiments.method import METHODS
from thresher.experiments.points import Range, grid, sobol
from thresher.experiments.protocol import protocol
from thresher.experiments.queue import Queue
from thresher.experiments.recipe import Recipe
from thresher.experiments.run import run
from thresher.experiments.sculpting import sculptures
from thresher.experiments.store import Store
from thresher.experiments.stored_run import StoredRun
from thresher.experiments.study_run import StudyRun
from thresher.experiments.summary import Summary, summarize
from thresher.experiments.worker import WorkDone, WorkEvent, work

__all__ = [
    "METHODS",
    "Queue",
    "Range",
    "Recipe",
    "Store",
    "StoredRun",
    "StudyRun",
    "Summary",
    "WorkDone",
    "WorkEvent",
    "comparison",
    "grid",
    "protocol",
    "run",
    "sculptures",
    "sobol",
    "summarize",
    "work",
]
