"""metrics.jsonl: one line of JSON per evaluation, there as soon as it is known."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TypedDict

from thresher.core.errors import RunDirectoryError
from thresher.core.files import write_text_atomically


class Row(TypedDict):
    """One evaluation, after `step` updates: nothing in it depends on the clock.

    `learning_rate` is that of the last update; `train_loss` and `train_error_pct` are means over the training
    examples seen since the row before, in training mode. None stands where there is no such data set.
    """

    step: int
    epoch: float
    learning_rate: float
    train_loss: float
    train_error_pct: float
    validation_loss: float | None
    validation_error_pct: float | None
    test_loss: float | None
    test_error_pct: float | None


class MetricsFile:
    """A file that holds `rows` from the start and then every row appended to it, flushed one by one.

    What was in the file before is replaced as a whole: rows that a killed run wrote after its last checkpoint
    go. Raises RunDirectoryError if the operating system refuses to write.
    """

    def __init__(self, path: Path, rows: Sequence[Row] = ()) -> None:
        write_text_atomically(path, "".join(_line(row) for row in rows))
        self._path = path
        self._file = path.open("a", encoding="utf-8")

    def append(self, row: Row) -> None:
        """Write one row through to the operating system."""
        try:
            self._file.write(_line(row))
            self._file.flush()
        except OSError as error:
            raise RunDirectoryError(f"cannot append to {self._path}: {error.strerror or error}") from error

    def __enter__(self) -> "MetricsFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _line(row: Row) -> str:
    return json.dumps(row, allow_nan=False) + "\n"
