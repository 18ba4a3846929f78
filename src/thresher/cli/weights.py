"""Weights from a file, without executing anything in it."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from thresher.core.errors import FileFormatError, MaskMismatchError


def read_weights(path: Path) -> dict[str, Tensor]:
    """Parameter and buffer name → tensor, from .safetensors or from torch's own format (weights only).

    Understands a state_dict, one under "state_dict" or "model", and a run's checkpoint.pt.
    Raises FileFormatError if the file is absent, cut short, or holds anything but tensors.
    """
    if not path.is_file():
        raise FileFormatError(f"there is no file at {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings(action="ignore"):  # of foreign files torch warns before it refuses them
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # foreign bytes fail in more ways than can be listed, all of which mean the same
        # torch's advice on unpickling is to turn its safety off
        refused = isinstance(error, pickle.UnpicklingError)
        lines = ["it holds other things than tensors"] if refused else str(error).strip().splitlines()
        first_line = (lines or [type(error).__name__])[0]
        raise FileFormatError(f"{path} is not a readable checkpoint (cut short or foreign): {first_line}") from error
    return _state_dict(content, path)


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    for outer in ("parts", "state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(outer), dict):
            content = content[outer]
    if not isinstance(content, dict) or not content or not all(isinstance(t, Tensor) for t in content.values()):
        raise FileFormatError(f"{path} holds no state_dict: expected parameter names with tensors")
    return dict(content)


def load_weights_(model: nn.Module, path: Path) -> None:
    """Put the weights in `path` into `model`; MaskMismatchError lists names and shapes that do not fit."""
    weights = read_weights(path)
    own = model.state_dict()
    wrong = [f"{name} is missing" for name in own if name not in weights]
    wrong += [f"{name} is not in the model" for name in weights if name not in own]
    wrong += [
        f"{name} is {tuple(tensor.shape)} in the file, {tuple(own[name].shape)} in the model"
        for name, tensor in weights.items()
        if name in own and own[name].shape != tensor.shape
    ]
    if wrong:
        shown = "; ".join(wrong[:8]) + (f"; and {len(wrong) - 8} more" if len(wrong) > 8 else "")
        raise MaskMismatchError(f"{path} is for another model: {shown}")
    model.load_state_dict(weights)
