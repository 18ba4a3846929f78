"""Masks, exact top-k, which parameters can be pruned, steps, seeds, touches, errors."""

from thresher.core.batch import Batch, Data, Loss, read_batches
from thresher.core.errors import ThresherError
from thresher.core.mask import Mask
from thresher.core.prunable import prunable
from thresher.core.seeds import generator
from thresher.core.step import Step
from thresher.core.topk import kept_count, top_k
from thresher.core.touch import Touch, listen

__all__ = [
    "Batch",
    "Data",
    "Loss",
    "Mask",
    "Step",
    "ThresherError",
    "Touch",
    "generator",
    "kept_count",
    "listen",
    "prunable",
    "read_batches",
    "top_k",
]
