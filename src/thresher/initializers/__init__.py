"""Initializers: where the weights start."""

from thresher.initializers.block_orthogonal import BlockOrthogonal
from thresher.initializers.delta_orthogonal import DeltaOrthogonal
from thresher.initializers.fixup import Fixup
from thresher.initializers.initializer import Initialized, Initializer
from thresher.initializers.normal import Normal
from thresher.initializers.orthogonal import Orthogonal
from thresher.initializers.variance_scaling import VarianceScaling

INITIALIZERS: dict[str, Initializer] = {
    "lecun": VarianceScaling(1.0, "in"),
    "glorot": VarianceScaling(1.0, "average"),
    "he": VarianceScaling(2.0, "in"),
    "normal": Normal(),
    "truncated-normal": Normal(truncated=True),
    "orthogonal": Orthogonal(),
    "orthogonal:relu": Orthogonal("relu"),
    "delta-orthogonal": DeltaOrthogonal(),
    "delta-orthogonal:relu": DeltaOrthogonal("relu"),
    "block-orthogonal": BlockOrthogonal(),
    "block-orthogonal:relu": BlockOrthogonal("relu"),
    "fixup": Fixup(),
}

__all__ = [
    "INITIALIZERS",
    "BlockOrthogonal",
    "DeltaOrthogonal",
    "Fixup",
    "Initialized",
    "Initializer",
    "Normal",
    "Orthogonal",
    "VarianceScaling",
]
