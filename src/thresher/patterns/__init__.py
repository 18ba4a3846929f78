"""Patterns: which shapes may be removed."""

from thresher.patterns.block import Block
from thresher.patterns.channel import Channel
from thresher.patterns.n_of_m import NofM
from thresher.patterns.pattern import Pattern
from thresher.patterns.unstructured import Unstructured

PATTERNS: dict[str, type[Pattern]] = {
    "unstructured": Unstructured,
    "n:m": NofM,
    "block": Block,
    "channel": Channel,
}

__all__ = ["PATTERNS", "Block", "Channel", "NofM", "Pattern", "Unstructured"]
