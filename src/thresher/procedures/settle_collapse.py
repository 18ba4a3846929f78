"""What happens when a mask empties a layer or cuts the network."""

import warnings
from collections.abc import Collection, Mapping
from typing import Literal

from torch import Tensor, nn

from thresher.analysis import collapse, repaired
from thresher.core.errors import ArgumentError, CollapseError
from thresher.core.example import example_input
from thresher.core.mask import Mask
from thresher.patterns import Pattern, Unstructured

OnCollapse = Literal["warn", "raise", "repair", "ignore"]


class CollapseWarning(UserWarning):
    """A mask empties a layer or cuts every path from input to output."""


def check_on_collapse(on_collapse: str, pattern: Pattern) -> None:
    """Raise ArgumentError for a choice that `settle_collapse` does not know, or that would break the pattern."""
    if on_collapse not in ("warn", "raise", "repair", "ignore"):
        raise ArgumentError(f"on_collapse is 'warn', 'raise', 'repair' or 'ignore': got {on_collapse!r}")
    if on_collapse == "repair" and not isinstance(pattern, Unstructured):
        raise ArgumentError("on_collapse='repair' moves single weights and would break the pattern: choose another")


def settle_collapse(
    model: nn.Module,
    mask: Mask,
    scores: Mapping[str, Tensor],
    beyond_repair: Collection[str],
    on_collapse: OnCollapse,
    example: Tensor | None,
) -> Mask:
    """`mask`, or with "repair" the mask in which every empty layer has its best weight back.

    `beyond_repair` names tensors that are not touched: protected ones, and those a starting mask had emptied.
    A repaired mask that still cuts every path is warned of. Where the model does not run on an input of the shape it
    seems to take and no `example` is given, only empty layers are looked for, and a wrong guess is warned of.
    Raises CollapseError for "raise", ArgumentError if the model does not run on `example`.
    """
    if on_collapse == "ignore":
        return mask
    if on_collapse == "repair":
        open_ = Mask({name: keep for name, keep in mask.items() if name not in beyond_repair})
        mask = Mask({**mask, **repaired(open_, {name: scores[name] for name in open_})})
    found = _collapsed(model, mask, example)
    if found is None:
        return mask
    if on_collapse == "raise":
        raise CollapseError(f"{found}; ask for less sparsity, another allocation, or on_collapse='repair'")
    warnings.warn(found, CollapseWarning, stacklevel=3)
    return mask


def _collapsed(model: nn.Module, mask: Mask, example: Tensor | None) -> str | None:
    """What is cut off, in one line, or None."""
    try:
        report = collapse(model, mask, example_input(model, example))
    except Exception as error:  # whatever the model raises on an input it does not take
        if example is not None:
            raise ArgumentError(
                f"the model does not run on example= of shape {tuple(example.shape)}: {type(error).__name__}: {error}"
            ) from error
        # the shape guessed from the first layer may be wrong, and the mask is worth keeping
        if not isinstance(error, ArgumentError):
            warnings.warn(
                f"paths were not checked, the model raised {type(error).__name__} on an input of the shape its first "
                "layer reads: pass example=",
                CollapseWarning,
                stacklevel=4,
            )
        empty = [name for name, count in mask.counts.items() if count == 0 and mask[name].numel()]
        return f"layers with nothing left: {', '.join(empty)}" if empty else None
    return report.describe() if report.collapsed_layers or report.disconnected else None
