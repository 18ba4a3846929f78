"""Random pruning, the control that every other criterion has to beat."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from thresher.core.batch import Data
from thresher.core.seeds import generator


@dataclass(frozen=True)
class Random:
    """Scores drawn uniformly, independent of weights and data.

    generator: where the draw comes from; it advances with every call. Default: a new one, seed 0.
    Cost: one draw per weight, no forward pass. Source: the baseline of Lee et al. (2019), section 4.3.1 of the
    thesis ("pruning parameters randomly and globally").

    >>> net = nn.Linear(3, 1)
    >>> scores = Random(torch.Generator().manual_seed(0)).scores(net, {"weight": net.weight})
    >>> scores["weight"].shape
    torch.Size([1, 3])
    """

    reads_data: ClassVar[bool] = False
    generator: torch.Generator | None = None

    def scores(
        self,
        model: nn.Module,
        weights: Mapping[str, Tensor],
        data: Data | None = None,
        example: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Uniform draws in (-1, 0] for every weight; see Criterion.scores."""
        source = generator(0, "random-pruning") if self.generator is None else self.generator
        # one draw for all tensors, negated: the same draw then removes what torch.nn.utils.prune removes
        total = sum(w.numel() for w in weights.values())
        draw = torch.rand(total, generator=source, device=source.device).neg_()
        parts = draw.split_with_sizes([w.numel() for w in weights.values()])
        return {name: part.view(w.shape).to(w.device) for (name, w), part in zip(weights.items(), parts, strict=True)}
