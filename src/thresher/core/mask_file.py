"""Masks on disk: safetensors, one bit a weight, the shapes in the header."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor

from thresher.core.errors import FileFormatError
from thresher.core.files import write_atomically

_FORMAT = "thresher-mask-1"


def write(tensors: Mapping[str, Tensor], path: Path | str) -> None:
    """Write bool tensors to `path`: each as ceil(numel / 8) bytes, first weight in the highest bit."""
    packed = {name: np.packbits(tensor.cpu().numpy().reshape(-1)) for name, tensor in tensors.items()}
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    content = save(packed, metadata={"format": _FORMAT, "shapes": json.dumps(shapes)})
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def read(path: Path | str) -> dict[str, Tensor]:
    """The bool tensors in `path`, in the order they were written.

    Raises FileFormatError if the file is absent, cut short, no mask, or says one thing and holds another.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise FileFormatError(
                    f"{path} is a safetensors file but no mask (format {metadata.get('format')!r}, expected "
                    f"'{_FORMAT}'): pass a file written by Mask.save"
                )
            shapes = json.loads(metadata["shapes"])
            return {name: _unpack(file.get_tensor(name), shape, name, path) for name, shape in shapes.items()}
    except FileNotFoundError:
        raise FileFormatError(f"there is no mask file at {path}") from None
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise FileFormatError(f"{path} is not a readable mask file (cut short or corrupted): {error}") from error


def _unpack(bits: np.typing.NDArray[np.uint8], shape: list[int], name: str, path: Path | str) -> Tensor:
    count = math.prod(shape)
    if bits.dtype != np.uint8 or bits.shape != ((count + 7) // 8,) or any(size < 0 for size in shape):
        raise FileFormatError(
            f"{path}: {name} holds {bits.shape} {bits.dtype}, not the bits of shape {tuple(shape)}"
        )
    return torch.from_numpy(np.unpackbits(bits, count=count).astype(bool)).reshape(shape)
