"""Experiments: a recipe in, a run out."""

from thresher.experiments.method import METHODS
from thresher.experiments.protocol import protocol
from thresher.experiments.recipe import Recipe
from thresher.experiments.run import run

__all__ = ["METHODS", "Recipe", "protocol", "run"]
