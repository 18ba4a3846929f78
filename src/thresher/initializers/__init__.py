"""Initializers: where the weights start."""

from thresher.initializers.initializer import Initializer
from thresher.initializers.normal import Normal
from thresher.initializers.variance_scaling import VarianceScaling

INITIALIZERS: dict[str, Initializer] = {
    "lecun": VarianceScaling(1.0, "in"),
    "glorot": VarianceScaling(1.0, "average"),
    "he": VarianceScaling(2.0, "in"),
    "normal": Normal(),
    "truncated-normal": Normal(truncated=True),
}

__all__ = ["INITIALIZERS", "Initializer", "Normal", "VarianceScaling"]
