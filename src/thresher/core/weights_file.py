"""A model's weights on disk: safetensors, whole or not at all, the same bytes for the same weights."""

from pathlib import Path

from safetensors.torch import save
from torch import nn

from thresher.core.files import write_atomically


def write_weights(model: nn.Module, path: Path | str, note: tuple[str, str] | None = None) -> Path:
    """`path`, holding every parameter and buffer of `model` under its state_dict name, tied ones twice.

    `note` is one (key, value) for the header: safetensors writes several in an order of its own, and equal weights
    would be unequal files. Raises RunDirectoryError if it cannot be written. Memory: a copy of the weights.
    """
    weights = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in model.state_dict().items()}
    content = save(weights, None if note is None else dict([note]))
    return write_atomically(path, lambda temporary: temporary.write_bytes(content))
