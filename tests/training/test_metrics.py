"""metrics.jsonl is there row by row."""

import json
import os

import pytest

from thresher.core.errors import RunDirectoryError
from thresher.training import MetricsFile, Row


def row(step: int, test: float | None = 1.25) -> Row:
    return Row(
        step=step,
        epoch=step / 3,
        learning_rate=0.1,
        train_loss=0.1 + 0.2,
        train_error_pct=100 / 3,
        validation_loss=None,
        validation_error_pct=None,
        test_loss=test,
        test_error_pct=test,
    )


def test_a_row_can_be_read_while_the_file_is_open_and_comes_back_exactly(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricsFile(path) as metrics:
        for count in range(1, 4):
            metrics.append(row(count))
            assert [json.loads(line) for line in path.read_text().splitlines()] == [row(i + 1) for i in range(count)]


def test_rows_beyond_those_given_are_cut_off(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricsFile(path, [row(1), row(2)]) as metrics:
        metrics.append(row(3))
    whole = path.read_bytes()
    assert [json.loads(line)["step"] for line in whole.splitlines()] == [1, 2, 3]
    path.write_bytes(whole + b'{"step": 4, "epo')
    with MetricsFile(path, [row(1), row(2)]) as metrics:
        metrics.append(row(3))
    assert path.read_bytes() == whole


def test_what_json_has_no_word_for_is_not_written(tmp_path):
    with MetricsFile(tmp_path / "metrics.jsonl") as metrics, pytest.raises(ValueError, match="JSON"):
        metrics.append(row(1, test=float("nan")))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_full_disk_is_said(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics = MetricsFile(path)
    metrics._file.close()
    metrics._file = open("/dev/full", "a")  # noqa: SIM115
    with pytest.raises(RunDirectoryError, match=r"cannot append to .*metrics.jsonl: No space left"):
        metrics.append(row(1))
    with pytest.raises(OSError, match="No space"):
        metrics._file.close()
