"""Where a result was made: versions, machine, and a hash of the code that made it."""

import hashlib
import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy
import torch


def environment(device: torch.device) -> dict[str, Any]:
    """Versions, platform, processor, threads, device and the present time, ready for JSON."""
    return {
        "thresher": importlib.metadata.version("thresher"),
        "code": code_hash(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


# packages above the experiments, or beside them
_BESIDE = ("bench", "cli", "papers", "report")


@cache
def code_hash() -> str:
    """SHA-256 over the Python files that decide a result, names and contents: not those that show or collect it."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        if file.relative_to(root).parts[0] in _BESIDE:
            continue
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
