"""checkpoint.pt: everything that a run needs to go on as if it had not stopped."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from thresher.core.errors import FileFormatError
from thresher.core.files import write_atomically

_FORMAT = "thresher-checkpoint-1"
_KEYS = {"format", "fingerprint", "parts"}


class Stateful(Protocol):
    """Anything whose state is tensors, numbers, strings and containers of them, as modules and optimizers are."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> object: ...


def save_checkpoint(path: Path | str, parts: Mapping[str, Stateful], fingerprint: str) -> Path:
    """`path`, holding the state of every part; until it is complete the checkpoint before it stays.

    `fingerprint` names the recipe. Raises RunDirectoryError if it cannot be written (full disk). Cost: a copy of
    the state in memory, for torch's own writer aborts the process when the disk is full.
    """
    content = {
        "format": _FORMAT,
        "fingerprint": fingerprint,
        "parts": {name: part.state_dict() for name, part in parts.items()},
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return write_atomically(path, lambda temporary: temporary.write_bytes(buffer.getbuffer()))


def load_checkpoint(path: Path | str, parts: Mapping[str, Stateful], fingerprint: str) -> None:
    """Give every part the state it had when `path` was saved; nothing in the file is executed.

    Raises FileFormatError, before any part is touched, if the file is absent, cut short, altered, no checkpoint,
    or of another recipe; and, naming the part, if a state does not fit.
    """
    states = _read(path, fingerprint)
    if states.keys() != parts.keys():
        raise FileFormatError(
            f"{path} holds the state of {', '.join(states)}, but this run consists of {', '.join(parts)}: resume "
            "with what it was started with"
        )
    for name, part in parts.items():
        try:
            part.load_state_dict(states[name])
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise FileFormatError(
                f"{path}: the state of the {name} does not fit: {_one_line(error)}; resume with the model and plan "
                "it was started with"
            ) from error


def _read(path: Path | str, fingerprint: str) -> dict[str, dict[str, Any]]:
    try:
        with zipfile.ZipFile(path) as archive:  # torch.load itself does not compare checksums
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"{damaged} fails its checksum")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise FileFormatError(f"there is no checkpoint at {path}: start the run without resuming") from None
    except Exception as error:  # foreign bytes fail in more ways than can be listed, all of which mean the same
        raise FileFormatError(
            f"{path} is not a readable checkpoint (cut short, altered, or something else: {_one_line(error)}); "
            "move it away to start the run anew"
        ) from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT or content.keys() != _KEYS:
        raise FileFormatError(
            f"{path} is a torch file but no checkpoint of a run (expected format '{_FORMAT}'); move it away to "
            "start the run anew"
        )
    if content["fingerprint"] != fingerprint:
        raise FileFormatError(
            f"{path} was written by another recipe ({content['fingerprint']}; this run is {fingerprint}): resume "
            "with that recipe or choose another run directory"
        )
    parts: dict[str, dict[str, Any]] = content["parts"]
    return parts


def _one_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
