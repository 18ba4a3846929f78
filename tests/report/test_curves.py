import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from thresher.report.curves import error_curve, loss_curve

NOTHING_CHOSEN = {"test_error_best_step": None, "validation_error_best_step": None}


def rows_of(test, validation=None, train=None):
    values = {"test": test, "validation": validation, "train": train}
    return [
        {"step": 10 * index, "epoch": index / 2}
        | {f"{split}_{what}": v and v[index] for split, v in values.items() for what in ("loss", "error_pct")}
        for index in range(len(test))
    ]


def line(svg, colour):
    """The vertices of the line drawn in a colour of the page, as drawn: [n, 2], y downwards; NaN between parts."""
    root = ElementTree.fromstring(svg)
    axes = next(group for group in root.iter("g") if sum(child.tag == "g" for child in group) > 5)
    for path in axes.iter("path"):
        if f"stroke: var(--{colour})" in path.attrib.get("style", "") and "clip-path" in path.attrib:
            parts = path.attrib["d"].split("M")[1:]
            return [np.array(re.findall(r"([\d.]+) ([\d.]+)", part), float) for part in parts]
    return []


@pytest.mark.parametrize("scale", [np.asarray, np.log], ids=["narrow, so linear", "wide, so logarithmic"])
def test_the_line_goes_through_the_values(scale):
    values = [9.0, 5.0, 4.0, 4.5, 3.0] if scale is np.asarray else [90.0, 30.0, 4.0, 4.5, 1.0]
    (drawn,) = line(loss_curve(rows_of(values)), "first")
    assert len(drawn) == 5
    for axis, wanted in ((0, np.arange(5) / 2), (1, -scale(values))):
        slope, start = np.polyfit(wanted, drawn[:, axis], 1)
        assert slope > 0
        np.testing.assert_allclose(slope * wanted + start, drawn[:, axis], atol=2e-3)


def test_each_split_has_its_line_and_its_name():
    svg = loss_curve(rows_of([3.0, 2.0], [2.5, 1.5], [2.0, 1.0]))
    assert all(line(svg, colour) for colour in ("first", "second", "muted"))
    texts = {element.text for element in ElementTree.fromstring(svg).iter("text")}
    assert {"train", "validation", "test", "epoch", "mean loss"} <= texts
    assert "train from 2 to 1, validation from 2.5 to 1.5, test from 3 to 2" in svg


def test_a_set_that_was_not_measured_has_no_line():
    svg = loss_curve(rows_of([3.0, 2.0]))
    assert not line(svg, "second")
    assert "validation" not in svg


@pytest.mark.parametrize("hole", [math.nan, math.inf, -math.inf, 1e200])
def test_a_value_that_no_axis_holds_breaks_the_line(hole):
    parts = line(loss_curve(rows_of([5.0, 4.0, hole, 3.0, 2.0])), "first")
    assert [len(part) for part in parts] == [2, 2]


def test_an_evaluation_that_was_not_made_does_not():
    (drawn,) = line(loss_curve(rows_of([5.0, 4.0, None, 3.0, 2.0])), "first")
    assert len(drawn) == 4


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_without_a_finite_value_there_is_no_chart(value):
    assert loss_curve(rows_of([value, value])) is None
    assert error_curve(rows_of([value, value]), NOTHING_CHOSEN) is None


def test_no_row_no_chart():
    assert loss_curve([]) is None


def rings(svg):
    """Where the marks drawn in ink stand."""
    uses = ElementTree.fromstring(svg).iter("use")
    return [
        (float(use.attrib["x"]), float(use.attrib["y"])) for use in uses if "stroke: var(--ink)" in use.attrib["style"]
    ]


def test_the_chosen_evaluations_are_ringed_where_their_values_are():
    rows = rows_of([9.0, 4.0, 5.0], [8.0, 4.5, 3.5])
    svg = error_curve(rows, {"test_error_best_step": 10, "validation_error_best_step": 20})
    (test,), (validation,) = line(svg, "first"), line(svg, "second")
    np.testing.assert_allclose(rings(svg), [test[1], validation[2]], atol=2e-3)


@pytest.mark.parametrize("step", [None, 5])
def test_what_was_not_chosen_among_the_evaluations_is_not_ringed(step):
    svg = error_curve(rows_of([9.0, 4.0]), {"test_error_best_step": step, "validation_error_best_step": None})
    assert rings(svg) == []


def test_one_evaluation_is_a_dot_without_a_ring_at_its_epoch():
    svg = error_curve(rows_of([9.0]), {"test_error_best_step": 0, "validation_error_best_step": None})
    assert rings(svg) == []
    texts = [element.text for element in ElementTree.fromstring(svg).iter("text")]
    assert texts.index("epoch") == 1, "one tick below the axis"


@pytest.mark.parametrize("values", [[0.0, 0.0], [1e-300, 1e99], [-1.0, 1.0], [5e-324, 1.0], [2.0, 2.0]])
def test_strange_values_are_drawn_without_a_warning(values):
    assert loss_curve(rows_of(values)).startswith("<svg")
