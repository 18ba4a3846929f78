"""The learning curves of a run as TensorBoard events."""

import json
from pathlib import Path

from thresher.core.errors import FileFormatError, MissingExtraError

_X = ("step", "epoch")


def export_to_tensorboard(run_dir: Path, out: Path) -> int:
    """The number of evaluations in `run_dir` that now are events in the folder `out`, one scalar for each figure.

    Events of an earlier export in `out` are replaced. A run without an evaluation yet has none. Raises
    MissingExtraError without the package, and FileFormatError if metrics.jsonl cannot be read.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise MissingExtraError("the export to TensorBoard", "tensorboard") from error
    file = run_dir / "metrics.jsonl"
    try:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
        points = [
            (name, float(value), row["step"])
            for row in rows
            for name, value in row.items()
            if name not in _X and value is not None
        ]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise FileFormatError(f"{file} is cut short or no record of evaluations: {error!r}") from error
    for old in out.glob("events.out.tfevents.*"):
        old.unlink()
    if points:
        with SummaryWriter(str(out)) as writer:
            for name, value, step in points:
                writer.add_scalar(name, value, step)
    return len(rows)
