"""What a mask costs and breaks, and how signals pass: paths, multiply-adds, Jacobians, norms by depth, mean field."""

from thresher.analysis.collapse import Collapse, collapse
from thresher.analysis.cost import Cost, LayerCost, cost
from thresher.analysis.jacobian import jacobian_singular_values
from thresher.analysis.layerwise_jacobian import layerwise_jacobian
from thresher.analysis.mean_field import MeanField, critical_gain, mean_field
from thresher.analysis.repair import repaired
from thresher.analysis.sensitivity import Sensitivity, sensitivity
from thresher.analysis.signal_norms import SignalNorm, signal_norms
from thresher.analysis.singular_values import SingularValues

__all__ = [
    "Collapse",
    "Cost",
    "LayerCost",
    "MeanField",
    "Sensitivity",
    "SignalNorm",
    "SingularValues",
    "collapse",
    "cost",
    "critical_gain",
    "jacobian_singular_values",
    "layerwise_jacobian",
    "mean_field",
    "repaired",
    "sensitivity",
    "signal_norms",
]
