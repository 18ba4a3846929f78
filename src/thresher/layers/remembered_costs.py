"""Costs of layers on this machine: measured once, kept in a file, read from there afterwards."""

import hashlib
import json
import logging
import math
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from thresher.core.errors import RunDirectoryError
from thresher.core.files import write_text_atomically
from thresher.layers.calibration import Probe, measured
from thresher.layers.cost_model import LayerCost
from thresher.ops.native import instruction_set, kernels

_LOG = logging.getLogger(__name__)

# machine → probe → cost; what a process has seen it does not read again, nor measure again where nothing can be kept
_SEEN: dict[str, dict[str, LayerCost]] = {}


def remembered_costs(probes: Sequence[Probe]) -> list[LayerCost]:
    """The cost of each of `probes`, from ``$XDG_CACHE_HOME/thresher`` (``~/.cache/thresher``) if it is known there.

    What is not is measured, and written there for the next time; other processes that want it wait meanwhile, so
    that all take the same decisions. Files are by processor, number of threads, instruction set, and versions; one that
    cannot be read counts as none. Where nothing can be written the costs are kept in memory, and a log line says so.
    Cost: see `measured`, for the probes that are new.
    """
    machine = json.dumps(_machine(), sort_keys=True)
    seen = _SEEN.setdefault(machine, {})
    if not all(probe.name in seen for probe in probes):
        path = _path(machine)
        with _alone(path):
            seen |= _read(path, machine)
            new = {probe.name: probe for probe in probes if probe.name not in seen}
            if new:
                _LOG.info("measuring %d layers dense and sparse, once on this machine", len(new))
                seen |= zip(new, measured(list(new.values())), strict=True)
                _write(path, machine, seen)
    return [seen[probe.name] for probe in probes]


def _machine() -> dict[str, str | int]:
    """Whatever changes the costs."""
    return {
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "instruction_set": instruction_set(),
        "thresher": version("thresher"),
        "kernels": _build(),
        "torch": torch.__version__,
    }


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    # model names are not unique among virtual machines; family and model numbers tell their processors apart
    wanted = (
        *("vendor_id", "cpu family", "model", "model name", "stepping", "cache size"),
        *("CPU implementer", "CPU architecture", "CPU variant", "CPU part"),
    )
    fields = dict(reversed([[part.strip() for part in line.partition(":")[::2]] for line in lines]))
    return ", ".join(fields[name] for name in wanted if name in fields) or platform.machine()


@cache
def _build() -> str:
    """A digest of the compiled kernels."""
    native = kernels()
    if native is None or native.__file__ is None:
        return "none"
    return hashlib.sha256(Path(native.__file__).read_bytes()).hexdigest()


def _path(machine: str) -> Path:
    given = os.environ.get("XDG_CACHE_HOME", "")
    # the specification has a relative path ignored
    root = Path(given) if os.path.isabs(given) else Path(os.path.expanduser("~/.cache"))
    return root / "thresher" / f"layer-costs-{hashlib.sha256(machine.encode()).hexdigest()[:16]}.json"


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Nobody else measures for `path` meanwhile; where no lock can be made, everyone for himself."""
    lock = FileLock(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError):
        pass
    try:
        yield
    finally:
        lock.release()


def _read(path: Path, machine: str) -> dict[str, LayerCost]:
    """Probe → cost; nothing where the file is absent, of another machine, or not what `_write` writes."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        if found["machine"] != json.loads(machine):
            return {}
        costs = {str(name): LayerCost(*map(float, seconds)) for name, seconds in found["costs"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    plausible = all(math.isfinite(number) and number >= 0 for cost in costs.values() for number in astuple(cost))
    return costs if plausible else {}


def _write(path: Path, machine: str, costs: dict[str, LayerCost]) -> None:
    found = {"machine": json.loads(machine), "costs": {name: astuple(cost) for name, cost in costs.items()}}
    try:
        write_text_atomically(path, json.dumps(found, indent=1))
    except RunDirectoryError as error:
        _say_once(str(error))


@cache
def _say_once(error: str) -> None:
    _LOG.warning("%s; every process has to measure its layers anew (XDG_CACHE_HOME moves the folder)", error)
