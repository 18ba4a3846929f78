"""What a mask costs and what it breaks: parameters and multiply-adds, empty layers, weights without a path."""

from thresher.analysis.collapse import Collapse, collapse
from thresher.analysis.cost import Cost, LayerCost, cost
from thresher.analysis.repair import repaired

__all__ = ["Collapse", "Cost", "LayerCost", "collapse", "cost", "repaired"]
