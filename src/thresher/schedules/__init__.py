"""Schedules: sparsity against progress."""

from thresher.schedules.cubic import Cubic
from thresher.schedules.exponential import Exponential
from thresher.schedules.linear import Linear
from thresher.schedules.one_shot import OneShot
from thresher.schedules.schedule import Schedule

SCHEDULES: dict[str, type[Schedule]] = {
    "one-shot": OneShot,
    "exponential": Exponential,
    "linear": Linear,
    "cubic": Cubic,
}

__all__ = ["SCHEDULES", "Cubic", "Exponential", "Linear", "OneShot", "Schedule"]
