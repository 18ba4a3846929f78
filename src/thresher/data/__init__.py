"""Data sets: read as published, split, normalised, and cut into batches that know their examples."""

from thresher.data.batches import Batches
from thresher.data.dataset import Dataset
from thresher.data.from_torch import from_torch
from thresher.data.idx import read_idx
from thresher.data.load import DATASETS, load
from thresher.data.splits import Splits, split, with_shuffled_labels
from thresher.data.stream import Stream

__all__ = [
    "DATASETS",
    "Batches",
    "Dataset",
    "Splits",
    "Stream",
    "from_torch",
    "load",
    "read_idx",
    "split",
    "with_shuffled_labels",
]
