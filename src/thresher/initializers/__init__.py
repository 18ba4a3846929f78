"""Initializers: where the weights start."""

from thresher.initializers.variance_scaling import VarianceScaling

INITIALIZERS: dict[str, VarianceScaling] = {
    "lecun": VarianceScaling(1.0, "in"),
    "glorot": VarianceScaling(1.0, "average"),
    "he": VarianceScaling(2.0, "in"),
}

__all__ = ["INITIALIZERS", "VarianceScaling"]
