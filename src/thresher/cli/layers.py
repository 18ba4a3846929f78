"""The layer table of a mask, with or without the model it is for."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from thresher.analysis import collapse, cost
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

    Where the model's input shape is not known the last two are None and so are the multiply-adds.
    """
    try:
        example = example_input(model, None if shape is None else torch.ones((1, *shape)))
    except ArgumentError:
        return {"layers": mask_rows(mask), "cost": None, "collapse": None}
    bill = cost(model, mask, example)
    return {
        "layers": cost_rows(bill, mask),
        "cost": cost_summary(bill),
        "collapse": collapse(model, mask, example).describe(),
    }
