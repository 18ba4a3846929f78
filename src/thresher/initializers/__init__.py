"""Initializers: where the weights start."""

import math

from thresher.core.errors import ArgumentError, unknown_name
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
# as they are written in a recipe: VARIANCE is a number
INITIALIZER_NAMES = (*INITIALIZERS, "normal:VARIANCE", "truncated-normal:VARIANCE")

__all__ = [
    "INITIALIZERS",
    "INITIALIZER_NAMES",
    "BlockOrthogonal",
    "DeltaOrthogonal",
    "Fixup",
    "Initialized",
    "Initializer",
    "Normal",
    "Orthogonal",
    "VarianceScaling",
    "initializer_of",
]


def initializer_of(name: str) -> Initializer:
    """The initializer called `name`: a row of `INITIALIZERS`, or a normal one with its variance behind a colon.

    The variance, not the deviation, because fans and the γ of thesis Table 4.1 are in variances; it is that of the
    density before it is cut. Raises ArgumentError for what is no positive number, and UnknownNameError, with the near
    miss, for any other name.

    >>> initializer_of("normal:0.01"), initializer_of("truncated-normal") == Normal(truncated=True)
    (Normal(std=0.1, truncated=False), True)
    """
    kind, colon, text = name.partition(":")
    plain = INITIALIZERS.get(kind)
    if not colon or not isinstance(plain, Normal):
        if name not in INITIALIZERS:
            raise unknown_name("initializer", name, INITIALIZER_NAMES)
        return INITIALIZERS[name]
    try:
        variance = float(text)
    except ValueError:
        variance = math.nan
    if not 0 < variance < math.inf:
        raise ArgumentError(
            f"behind the colon of initializer '{kind}:VARIANCE' stands the variance of the weights, a positive number "
            f"such as 0.01: got '{text}'"
        )
    return Normal(math.sqrt(variance), plain.truncated)
