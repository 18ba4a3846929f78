"""A finished run's files, read once and checked, so that the page never meets a hole halfway."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thresher.core import Mask
from thresher.core.errors import FileFormatError, RunDirectoryError
from thresher.report.schema import METRICS_ROW, RECIPE, check_result, require


@dataclass(frozen=True)
class Record:
    """The recipe, the evaluations in order, the result and the mask of one finished run."""

    recipe: dict[str, Any]
    rows: list[dict[str, Any]]
    result: dict[str, Any]
    mask: Mask


def read_record(run_dir: Path | str) -> Record:
    """The record in `run_dir`: recipe.json, metrics.jsonl, result.json and mask.safetensors.

    NaN, Infinity and null come through as they are: a run may well have measured them.
    Raises RunDirectoryError if the directory is absent or its run is not finished, and FileFormatError, naming
    the file and the field or line, if a file is absent, cut short, or of another run than its neighbours.
    """
    directory = Path(run_dir)
    if not directory.is_dir():
        raise RunDirectoryError(f"there is no run directory at {directory}: pass the folder that a run wrote")
    path = directory / "result.json"
    if not path.exists():
        raise RunDirectoryError(f"{path} is not there: the run is not finished; continue it, then report")
    result = _object(_text(path), str(path))
    if result.get("status") != "finished":
        raise RunDirectoryError(
            f"{path} has status {result.get('status')!r}, expected 'finished': continue the run, then report"
        )
    check_result(result, str(path))
    recipe = _object(_text(directory / "recipe.json"), str(directory / "recipe.json"))
    require(recipe, RECIPE, str(directory / "recipe.json"))
    mask = Mask.load(directory / "mask.safetensors")
    if (mask.kept, mask.total) != (result["kept"], result["prunable"]):
        raise FileFormatError(
            f"{directory / 'mask.safetensors'} keeps {mask.kept:,} of {mask.total:,} weights, result.json says "
            f"{result['kept']:,} of {result['prunable']:,}: the two files are of different runs"
        )
    return Record(recipe, _rows(directory / "metrics.jsonl"), result, mask)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileFormatError(f"{path} is not there: run the recipe again") from None
    except (OSError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{path} cannot be read: {error}") from error


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise FileFormatError(f"{where} is not JSON (cut short or corrupted): {error}") from error
    if not isinstance(value, dict):
        raise FileFormatError(f"{where} holds {value!r:.60}, expected a JSON object")
    return value


def _rows(path: Path) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        rows.append(_object(line, f"{path}, line {number}"))
        require(rows[-1], METRICS_ROW, f"{path}, line {number}")
    return rows
