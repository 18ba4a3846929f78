"""A mask without empty layers, at the same number of kept weights."""

from collections.abc import Mapping

from torch import Tensor

from thresher.core.errors import CollapseError, NonFiniteError
from thresher.core.mask import Mask
from thresher.core.topk import top_k


def repaired(mask: Mask, scores: Mapping[str, Tensor]) -> Mask:
    """`mask` with the best-scoring weight of every empty layer restored, and as many of the worst removed.

    What goes are the lowest-scoring kept weights over all layers, never the last one of a layer (ties: the
    later layer first, then the higher index). The kept count stays exact; a mask without empty layers comes
    back equal. A layer that keeps a weight can still be cut off: see `collapse`.

    `scores` has the mask's names and shapes, higher being better. Raises MaskMismatchError if it has not,
    NonFiniteError if a score is NaN, and CollapseError if fewer weights are kept than there are layers.
    Cost: O(n log n) in the kept weights, and nothing if no layer is empty.

    >>> import torch
    >>> mask = Mask({"a": torch.tensor([True, True]), "b": torch.tensor([False, False])})
    >>> fixed = repaired(mask, {"a": torch.tensor([3.0, 2.0]), "b": torch.tensor([0.5, 1.0])})
    >>> fixed["a"].tolist(), fixed["b"].tolist()
    ([True, False], [False, True])
    """
    mask.require_like(scores)
    for name, tensor in scores.items():
        if bool(tensor.isnan().any()):
            raise NonFiniteError(f"{int(tensor.isnan().sum())} scores of {name} are NaN: there is no worst weight")
    layers = [name for name, keep in mask.items() if keep.numel()]
    empty = [name for name in layers if not mask[name].any()]
    if mask.kept < len(layers):
        raise CollapseError(
            f"{mask.kept} kept weights cannot give each of {len(layers)} layers one (empty now: {', '.join(empty)}): "
            f"ask for a sparsity of at most {1 - len(layers) / mask.total:.6f}"
        )
    changed = {name: keep.clone() for name, keep in mask.items()}
    for name in empty:
        changed[name] = top_k(scores[name].to(mask[name].device), 1, name)
    for name, index in _worst([name for name in layers if name not in empty], mask, scores, len(empty)):
        changed[name].view(-1)[index] = False
    return Mask(changed)


def _worst(layers: list[str], mask: Mask, scores: Mapping[str, Tensor], count: int) -> list[tuple[str, int]]:
    """The `count` lowest-scoring kept weights as (layer, flat index), leaving one in each layer."""
    candidates: list[tuple[float, int, int]] = []
    for place, name in enumerate(layers) if count else ():
        kept = mask[name].flatten().nonzero().flatten().cpu()
        values, order = scores[name].detach().flatten().cpu()[kept].flip(0).sort(stable=True)
        indices = kept.flip(0)[order][: min(count, len(kept) - 1)].tolist()
        lowest = values[: len(indices)].tolist()
        candidates += [(value, -place, -index) for value, index in zip(lowest, indices, strict=True)]
    return [(layers[-place], -index) for _, place, index in sorted(candidates)[:count]]
