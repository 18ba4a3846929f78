"""Allocations: how many weights each tensor keeps."""

from thresher.allocations.allocation import Allocation
from thresher.allocations.erk import ERK
from thresher.allocations.global_ import Global
from thresher.allocations.lamp import LAMP
from thresher.allocations.per_tensor import PerTensor
from thresher.allocations.uniform import Uniform

ALLOCATIONS: dict[str, type[Allocation]] = {
    "global": Global,
    "uniform": Uniform,
    "erk": ERK,
    "lamp": LAMP,
    "per-tensor": PerTensor,
}

__all__ = ["ALLOCATIONS", "ERK", "LAMP", "Allocation", "Global", "PerTensor", "Uniform"]
