import json
import math

import pytest
import torch

from thresher.core import Mask
from thresher.core.errors import FileFormatError, RunDirectoryError
from thresher.report.record import read_record

FILES = ("recipe.json", "metrics.jsonl", "result.json", "mask.safetensors")


def test_the_files_come_back_as_written(run_maker):
    directory = run_maker()
    record = read_record(directory)
    assert record.recipe == json.loads((directory / "recipe.json").read_text())
    assert record.result == json.loads((directory / "result.json").read_text())
    assert [json.dumps(row) for row in record.rows] == (directory / "metrics.jsonl").read_text().splitlines()
    assert record.mask == Mask.load(directory / "mask.safetensors")


def test_no_directory(tmp_path):
    with pytest.raises(RunDirectoryError, match="nowhere"):
        read_record(tmp_path / "nowhere")


@pytest.mark.parametrize("name", FILES)
def test_an_absent_file_is_named(run_maker, name):
    directory = run_maker()
    (directory / name).unlink()
    with pytest.raises((FileFormatError, RunDirectoryError), match=name):
        read_record(directory)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.99])
def test_a_file_cut_short_is_named(run_maker, name, share):
    directory = run_maker(evaluations=3)
    content = (directory / name).read_bytes()
    (directory / name).write_bytes(content[: int(share * len(content))])
    if name == "metrics.jsonl" and share == 0.0:  # a run may have evaluated nothing
        assert read_record(directory).rows == []
        return
    with pytest.raises(FileFormatError, match=name):
        read_record(directory)


@pytest.mark.parametrize("name", FILES[:3])
@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[1, 2]", b"null", b"{"])
def test_a_file_of_something_else_is_named(run_maker, name, content):
    directory = run_maker()
    (directory / name).write_bytes(content)
    with pytest.raises(FileFormatError, match=name):
        read_record(directory)


def test_an_unfinished_run_is_not_reported(run_maker):
    with pytest.raises(RunDirectoryError, match=r"result\.json has status 'running', expected 'finished'"):
        read_record(run_maker(result={"status": "running"}))


def test_a_mask_of_another_run_is_refused(run_maker):
    directory = run_maker()
    Mask({"fc1.weight": torch.ones(2, 2, dtype=torch.bool)}).save(directory / "mask.safetensors")
    with pytest.raises(FileFormatError, match=r"mask\.safetensors keeps 4 of 4 weights.*13,310 of 266,200"):
        read_record(directory)


def paths(value, path=()):
    """Every path to an object's field, lists entered at their first entry."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from paths(inner, (*path, key))
    elif isinstance(value, list) and value:
        yield from paths(value[0], (*path, 0))


FREE = {"environment", "not_measured", "collapsed_layers", "units_without_input", "units_without_output"}


def test_every_field_that_is_missing_or_of_another_type_is_named(run_maker):
    directory = run_maker(evaluations=2)
    text = (directory / "result.json").read_text()
    checked = [path for path in paths(json.loads(text)) if not FREE & set(path[:-1])]
    assert len(checked) > 50
    for path in checked:
        for broken in ("gone", "wrong"):
            result = json.loads(text)
            place = result
            for key in path[:-1]:
                place = place[key]
            if broken == "gone":
                del place[path[-1]]
            else:
                place[path[-1]] = True
            (directory / "result.json").write_text(json.dumps(result))
            with pytest.raises((FileFormatError, RunDirectoryError), match=path[-1]):
                read_record(directory)


@pytest.mark.parametrize(
    ("replaced", "named"),
    [
        ({"collapse": {"units_without_input": {"fc1.weight": "three"}}}, "units_without_input: 'fc1.weight'"),
        ({"first_layer": {"name": "fc1.weight", "input_shape": [1, "a"]}}, "input_shape"),
        ({"first_layer": {"name": "fc1.weight", "input_shape": [1, -2]}}, "input_shape"),
        ({"touches": [3]}, r"touches\[0\] is 3"),
        ({"sparse_layers": 3}, "'sparse_layers' is 3, expected list"),
    ],
)
def test_what_lies_deeper_is_checked_too(run_maker, replaced, named):
    directory = run_maker()
    result = json.loads((directory / "result.json").read_text())
    for field, value in replaced.items():
        result[field] = result[field] | value if isinstance(value, dict) else value
    (directory / "result.json").write_text(json.dumps(result))
    with pytest.raises(FileFormatError, match=named):
        read_record(directory)


def test_a_broken_line_of_metrics_is_numbered(run_maker):
    directory = run_maker(evaluations=3)
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    row = json.loads(lines[1])
    del row["test_loss"]
    (directory / "metrics.jsonl").write_text("\n".join([lines[0], json.dumps(row), lines[2]]))
    with pytest.raises(FileFormatError, match=r"metrics\.jsonl, line 2 has no field 'test_loss'"):
        read_record(directory)


def test_nan_infinity_and_null_come_through(run_maker):
    directory = run_maker(evaluations=1, result={"test_error_best_pct": math.nan, "seconds": None})
    row = json.loads((directory / "metrics.jsonl").read_text()) | {"train_loss": math.inf}
    (directory / "metrics.jsonl").write_text(json.dumps(row))
    record = read_record(directory)
    assert math.isnan(record.result["test_error_best_pct"])
    assert record.result["seconds"] is None
    assert record.rows[0]["train_loss"] == math.inf
