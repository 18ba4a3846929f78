"""The layer table of a mask, with or without the model it is for."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from thresher.analysis import collapse, cost
from thresher.cli.factory import one_line
from thresher.core.errors import ArgumentError
from thresher.core.example import example_input
from thresher.core.mask import Mask
from thresher.experiments.result import cost_summary
from thresher.experiments.result import layer_rows as cost_rows


def mask_rows(mask: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    """One row per tensor of what is true in it; multiply-adds are None, since only a model tells."""
    return [
        {
            "name": name,
            "shape": list(tensor.shape),
            "total": tensor.numel(),
            "kept": int(tensor.sum()),
            "sparsity": 1.0 - int(tensor.sum()) / tensor.numel() if tensor.numel() else 0.0,
            "dense_macs": None,
            "kept_macs": None,
        }
        for name, tensor in mask.items()
    ]


def layer_rows(model: nn.Module, mask: Mask, shape: tuple[int, ...] | None = None) -> dict[str, Any]:
    """`layers` with multiply-adds, `cost` and what is cut off (`collapse`, in a line).

    Where the model's input shape is not known, or guessed and wrong, the last two are None and so are the
    multiply-adds. Raises ArgumentError if the model does not run on an input of `shape`.
    """
    try:
        example = example_input(model, None if shape is None else torch.ones((1, *shape)))
        bill, cut = cost(model, mask, example), collapse(model, mask, example)
    except Exception as error:  # whatever the user's model raises on an input it does not take
        if shape is not None:
            raise ArgumentError(f"the model does not run on an input of shape {shape}: {one_line(error)}") from error
        return {"layers": mask_rows(mask), "cost": None, "collapse": None}
    return {"layers": cost_rows(bill, mask), "cost": cost_summary(bill), "collapse": cut.describe()}
