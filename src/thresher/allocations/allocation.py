"""What an allocation is: scores and a total in; how many weights each tensor keeps, out."""

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor


class Allocation(Protocol):
    """Divides a number of kept weights among tensors."""

    def counts(self, scores: Mapping[str, Tensor], kept: int) -> dict[str, int]:
        """Parameter name → kept count; the counts sum to `kept` exactly.

        Entries of `scores` that are -inf are removed already and stay so: no tensor gets more than it has left.
        Raises ArgumentError if `kept` is negative or more than is left.
        """
        ...
