"""Procedures: whole methods put together from the parts."""

from thresher.procedures.approximate_isometry import approximate_isometry_
from thresher.procedures.density_scaling import scale_by_density_
from thresher.procedures.orthogonality import Orthogonality, orthogonality
from thresher.procedures.prune import prune
from thresher.procedures.settle_collapse import CollapseWarning

__all__ = [
    "CollapseWarning",
    "Orthogonality",
    "approximate_isometry_",
    "orthogonality",
    "prune",
    "scale_by_density_",
]
