"""Per tensor: the sparsities the user wrote down."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from thresher.core.errors import ArgumentError, unknown_name
from thresher.core.topk import check_sparsity, kept_count


@dataclass(frozen=True)
class PerTensor:
    """Sparsity of each named tensor as given; tensors that are not named stay dense.

    `thresher.prune` makes one when its `sparsity` is a dict. Raises ArgumentError for a sparsity outside [0, 1).
    Source: Han et al. (2015), who chose a threshold for every layer by hand.

    >>> import torch
    >>> PerTensor({"a": 0.5}).counts({"a": torch.zeros(8), "b": torch.zeros(4)}, kept=8)
    {'a': 4, 'b': 4}
    """

    sparsities: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, sparsity in self.sparsities.items():
            check_sparsity(sparsity, f"sparsity of {name}")

    def counts(self, scores: Mapping[str, Tensor], kept: int) -> dict[str, int]:
        """See Allocation.counts; ArgumentError if `kept` is not what the sparsities add up to."""
        for name in self.sparsities:
            if name not in scores:
                raise unknown_name("parameter in sparsity", name, scores)
        counts = {n: kept_count(s.numel(), self.sparsities.get(n, 0.0)) for n, s in scores.items()}
        if sum(counts.values()) != kept:
            raise ArgumentError(f"the sparsities per tensor keep {sum(counts.values())} weights, not {kept}")
        return counts
