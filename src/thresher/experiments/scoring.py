"""The training examples that a criterion reads."""

import torch

from thresher.core.errors import ArgumentError
from thresher.core.seeds import generator
from thresher.data import Batches, Splits


def scoring_batches(
    splits: Splits,
    batch_size: int,
    examples: int | None,
    seed: int,
    device: torch.device | str = "cpu",
) -> Batches:
    """Batches of `examples` training examples drawn by `seed`, unaugmented; None is one batch, 0 all of them.

    One batch is what Lee et al. (2019), section 5, prune with. Raises ArgumentError if there are not so many.
    """
    wanted = batch_size if examples is None else examples
    if not 0 <= wanted <= len(splits.train):
        raise ArgumentError(
            f"{wanted} examples to score with: {splits.train.name} has {len(splits.train)}, and 0 reads them all"
        )
    order = torch.randperm(len(splits.train), generator=generator(seed, "scoring-examples"))
    chosen = splits.train.subset(order[: wanted or None])
    return Batches(chosen, splits, min(batch_size, len(chosen)), device=device)
