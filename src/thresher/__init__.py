"""Thresher finds sparse neural networks, trains them, and says what can be trusted about the result.

>>> import thresher as th
>>> net = th.models.build("lenet-300-100")
>>> mask = th.prune(net, th.Magnitude(), sparsity=0.95)
>>> mask.kept
13310
"""

from thresher import analysis, data, experiments, initializers, layers, models, ops
from thresher.allocations import ERK, LAMP, Global, PerTensor, Uniform
from thresher.core import Batch, Mask, Step, ThresherError, Touch, listen, prunable
from thresher.criteria import SNIP, GradientMagnitude, GraSP, Magnitude, Random, SynFlow
from thresher.initializers import VarianceScaling
from thresher.layers import densify, sparsify
from thresher.patterns import Block, Channel, NofM, Unstructured
from thresher.procedures import CollapseWarning, approximate_isometry_, orthogonality, prune
from thresher.rules import FixedMask
from thresher.schedules import Cubic, Exponential, Linear, OneShot

__all__ = [
    "ERK",
    "LAMP",
    "SNIP",
    "Batch",
    "Block",
    "Channel",
    "CollapseWarning",
    "Cubic",
    "Exponential",
    "FixedMask",
    "Global",
    "GraSP",
    "GradientMagnitude",
    "Linear",
    "Magnitude",
    "Mask",
    "NofM",
    "OneShot",
    "PerTensor",
    "Random",
    "Step",
    "SynFlow",
    "ThresherError",
    "Touch",
    "Uniform",
    "Unstructured",
    "VarianceScaling",
    "analysis",
    "approximate_isometry_",
    "data",
    "densify",
    "experiments",
    "initializers",
    "layers",
    "listen",
    "models",
    "ops",
    "orthogonality",
    "prunable",
    "prune",
    "sparsify",
]
