"""Procedures: whole methods put together from the parts."""

from thresher.procedures.prune import prune
from thresher.procedures.settle_collapse import CollapseWarning

__all__ = ["CollapseWarning", "prune"]
