"""Global: the best scores stay, wherever they are."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from thresher.allocations.apportion import require_enough
from thresher.core.topk import top_k


@dataclass(frozen=True)
class Global:
    """Counts such that keeping the best of each tensor keeps the best `kept` of all.

    Equal scores go to the earlier tensor, as to the lower index within one. Cost: one selection over all scores.
    Source: Lee et al. (2019), algorithm 1. The only allocation under which layers can be emptied.

    >>> Global().counts({"a": torch.tensor([1.0, 5.0]), "b": torch.tensor([2.0, 3.0])}, kept=2)
    {'a': 1, 'b': 1}
    """

    def counts(self, scores: Mapping[str, Tensor], kept: int) -> dict[str, int]:
        """See Allocation.counts."""
        require_enough(scores, kept)
        flat = torch.cat([score.reshape(-1) for score in scores.values()])
        parts = torch.split(top_k(flat, kept, "all tensors"), [score.numel() for score in scores.values()])
        return {name: int(part.sum()) for name, part in zip(scores, parts, strict=True)}
