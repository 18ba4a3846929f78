import io
import json
import math

import pytest
from rich.console import Console

from thresher.report import layer_table, result_table


def printed(table, width=120):
    file = io.StringIO()
    Console(width=width, file=file, color_system=None).print(table)
    return file.getvalue()


@pytest.fixture
def result(usual_run):
    return json.loads((usual_run / "result.json").read_text())


def test_the_numbers_are_those_of_the_result(result):
    text = printed(result_table(result))
    for name in ("test_error_final_pct", "test_error_best_pct", "test_error_at_best_validation_pct"):
        assert f"{result[name]:.2f} %" in text
    assert "0.950 (13,310 of 266,200 weights kept, 95.0 % removed)" in text
    assert f"{1000 * result['seconds_per_step']:.2f} ms" in text
    assert result["run"] in text
    assert "(chosen on the test set)" in text
    assert "(multiply-adds, not a measured time)" in text


def test_what_was_not_measured_is_said(result):
    text = printed(result_table(result | {"test_error_at_best_validation_pct": None, "seconds_per_step": None}))
    assert "no validation set was held out" in text
    assert "not a number" in printed(result_table(result | {"test_error_final_pct": math.nan}))


def test_one_row_a_layer(result):
    lines = [line.split() for line in printed(layer_table(result["layers"])).splitlines() if "fc" in line]
    assert lines == [
        [
            layer["name"],
            "×".join(map(str, layer["shape"])),
            f"{layer['kept']:,}",
            f"{layer['total']:,}",
            f"{layer['sparsity']:.3f}",
            f"{layer['kept_macs']:,}",
            f"{layer['dense_macs']:,}",
        ]
        for layer in result["layers"]
    ]


def test_a_layer_that_keeps_nothing_says_so(drawn_layers):
    assert "none" in next(line for line in printed(layer_table(drawn_layers)).splitlines() if "fc2" in line)
    assert "none" not in printed(layer_table([layer for layer in drawn_layers if layer["kept"]]))


def test_brackets_in_names_are_no_markup(result):
    assert "[bold]x[/bold]" in printed(result_table(result | {"run": "[bold]x[/bold]"}))
    assert "[red]w" in printed(layer_table([result["layers"][0] | {"name": "[red]w"}]))
