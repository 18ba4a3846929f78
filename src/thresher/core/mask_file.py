"""Masks on disk: safetensors, one bit a weight, the shapes in the header."""

import json
import math
import zlib
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
    said = {
        "shapes": {name: list(tensor.shape) for name, tensor in tensors.items()},
        "crc32": {name: zlib.crc32(bits.tobytes()) for name, bits in packed.items()},
    }
    # one entry: safetensors writes several in an order of its own, and equal masks would be unequal files
    content = save(packed, metadata={_FORMAT: json.dumps(said)})
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def read(path: Path | str) -> dict[str, Tensor]:
    """The bool tensors in `path`, in the order they were written.

    Raises FileFormatError if the file is absent, cut short, no mask, or says one thing and holds another.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if _FORMAT not in metadata:
                raise FileFormatError(
                    f"{path} is a safetensors file but no mask (its header has {sorted(metadata)}, expected "
                    f"'{_FORMAT}'): pass a file written by Mask.save"
                )
            said = json.loads(metadata[_FORMAT])
            shapes, sums = said["shapes"], said["crc32"]
            if not isinstance(shapes, dict) or shapes.keys() != set(file.keys()):
                raise FileFormatError(f"{path}: the tensors are {sorted(file.keys())}, the shapes are of {shapes}")
            return {
                name: _unpack(file.get_tensor(name), shape, sums[name], name, path) for name, shape in shapes.items()
            }
    except FileNotFoundError:
        raise FileFormatError(f"there is no mask file at {path}") from None
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError, OSError) as error:
        raise FileFormatError(f"{path} is not a readable mask file (cut short or corrupted): {error}") from error


def is_mask_file(path: Path | str) -> bool:
    """Whether `path` is a safetensors file that says it is a mask, of this format or another."""
    try:
        with safe_open(path, framework="numpy") as file:
            return any(name.startswith("thresher-mask") for name in file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def _unpack(bits: np.typing.NDArray[np.uint8], shape: list[int], checksum: int, name: str, path: Path | str) -> Tensor:
    count = math.prod(shape)
    if bits.dtype != np.uint8 or bits.shape != ((count + 7) // 8,) or any(size < 0 for size in shape):
        raise FileFormatError(f"{path}: {name} holds {bits.shape} {bits.dtype}, not the bits of shape {tuple(shape)}")
    if zlib.crc32(bits.tobytes()) != checksum:
        raise FileFormatError(f"{path}: the bits of {name} are not those that were written (checksum): save it anew")
    weights = np.unpackbits(bits).astype(bool)
    if weights[count:].any():  # `write` fills the last byte up with zeros
        raise FileFormatError(f"{path}: {name} holds bits beyond the {count} weights of shape {tuple(shape)}")
    return torch.from_numpy(weights[:count]).reshape(shape)
