"""Criteria: who scores the weights. One file each; a higher score is kept longer."""

from thresher.criteria.criterion import Criterion
from thresher.criteria.gradient_magnitude import GradientMagnitude
from thresher.criteria.grasp import GraSP
from thresher.criteria.inverted import Inverted
from thresher.criteria.magnitude import Magnitude
from thresher.criteria.random import Random
from thresher.criteria.snip import SNIP
from thresher.criteria.synflow import SynFlow

CRITERIA: dict[str, type] = {
    "random": Random,
    "magnitude": Magnitude,
    "gradient-magnitude": GradientMagnitude,
    "snip": SNIP,
    "grasp": GraSP,
    "synflow": SynFlow,
}

__all__ = [
    "CRITERIA",
    "SNIP",
    "Criterion",
    "GraSP",
    "GradientMagnitude",
    "Inverted",
    "Magnitude",
    "Random",
    "SynFlow",
]
