import re
from xml.etree import ElementTree

import numpy as np
import pytest

from thresher.report.speedup import speedup_figures

SVG = "{http://www.w3.org/2000/svg}"
COLOURS = {"thresher": "#0a67ac", "sparseprop": "#c65a00", "csr": "#59616a"}


def spread(median):
    return {"median": median, "lower_quartile": 0.9 * median, "upper_quartile": 1.2 * median, "count": 5}


def row(case, sparsity, what="step", batch=128, **speedups):
    contenders = {name: {"speedup": spread(median)} for name, median in {"dense": 1.0, **speedups}.items()}
    return {"case": case, "what": what, "batch": batch, "sparsity": sparsity, "contenders": contenders}


def document(*rows, crossovers=()):
    names = ("case", "what", "batch", "contender", "sparsity")
    return {"rows": rows, "crossovers": [dict(zip(names, crossing, strict=True)) for crossing in crossovers]}


def vertices(svg, colour):
    """[n, 2] of every line of a colour with n > 2 points, y upwards, in the figure's units."""
    found = []
    for path in ElementTree.fromstring(svg).iter(f"{SVG}path"):
        if f"stroke: {colour}" in path.attrib.get("style", "") and "fill: none" in path.attrib["style"]:
            points = np.array(re.findall(r"[ML] ([\d.-]+) ([\d.-]+)", path.attrib["d"]), float)
            if len(points) > 2:
                found.append(points * [1, -1])
    return found


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_the_line_goes_through_the_medians_on_logarithmic_axes():
    speedups = {0.8: 0.5, 0.9: 2.0, 0.95: 3.0, 0.98: 9.0}
    shuffled = [0.95, 0.8, 0.98, 0.9]
    svg = speedup_figures(document(*(row("net", s, thresher=speedups[s]) for s in shuffled)))["speedup"]
    (line,) = vertices(svg, COLOURS["thresher"])
    assert len(line) == 4
    for axis, wanted in ((0, -np.log10([0.2, 0.1, 0.05, 0.02])), (1, np.log10(list(speedups.values())))):
        slope, start = np.polyfit(wanted, line[:, axis], 1)
        assert slope > 0
        np.testing.assert_allclose(slope * wanted + start, line[:, axis], atol=0.01)


def test_a_panel_a_case_and_slower_ones_are_there_too():
    cases = ["one", "two", "three", "four", "five"]
    rows = [row(case, s, thresher=2.0, csr=0.1) for case in cases for s in (0.8, 0.9, 0.99)]
    svg = speedup_figures(document(*rows))["speedup"]
    assert {*cases, "csr", "thresher", "80 %", "99 %"} <= set(texts(svg))
    assert len(vertices(svg, COLOURS["csr"])) == 5
    assert "sparseprop" not in texts(svg)


def test_a_case_that_was_cut_short_does_not_cut_the_axis_of_the_others():
    rows = [row("one", s, thresher=2.0) for s in (0.8, 0.9, 0.99)]
    assert texts(speedup_figures(document(*rows, row("two", 0.8, thresher=2.0)))["speedup"]).count("99 %") == 2


def test_the_crossover_is_ringed_where_the_speedup_is_one():
    rows = [row("net", s, thresher=v, csr=v / 2) for s, v in ((0.8, 0.5), (0.9, 1.0), (0.98, 5.0))]
    crossed = [("net", "step", 128, name, s) for name, s in (("thresher", 0.9), ("csr", 0.95), ("dense", 0.85))]
    svg = speedup_figures(document(*rows, crossovers=crossed))["speedup"]
    assert "90.0 %" in texts(svg)
    assert "95.0 %" not in texts(svg)
    rings = {
        colour: [float(use.attrib[axis]) for axis in "xy"]
        for use in ElementTree.fromstring(svg).iter(f"{SVG}use")
        for colour in re.findall(r"fill-opacity: 0; stroke: (#\w+)", use.attrib["style"])
    }
    assert rings.keys() == {COLOURS["thresher"], COLOURS["csr"]}
    (line,) = vertices(svg, COLOURS["thresher"])
    # the second point of the line is the crossover itself, and the other lies as high
    np.testing.assert_allclose(rings[COLOURS["thresher"]], line[1] * [1, -1], atol=0.01)
    assert rings[COLOURS["csr"]][1] == rings[COLOURS["thresher"]][1]
    assert rings[COLOURS["csr"]][0] > rings[COLOURS["thresher"]][0]


def test_a_crossover_of_another_case_what_or_batch_is_not_drawn():
    rows = [row("net", s, thresher=2.0) for s in (0.8, 0.9, 0.98)]
    elsewhere = [("other", "step", 128), ("net", "forward", 128), ("net", "step", 1)]
    svg = speedup_figures(document(*rows, crossovers=[(*panel, "thresher", 0.87) for panel in elsewhere]))["speedup"]
    assert svg == speedup_figures(document(*rows))["speedup"]


def test_training_and_each_inference_batch_have_a_figure_of_their_own():
    rows = [row("layer", 0.9, what, thresher=2.0) for what in ("forward", "backward", "forward+backward")]
    rows += [row("layer", 0.9, "inference", batch, thresher=3.0) for batch in (1, 32)]
    figures = speedup_figures(document(*rows))
    assert list(figures) == ["speedup", "latency-1", "latency-32"]
    labels = {stem: ElementTree.fromstring(svg).attrib["aria-label"] for stem, svg in figures.items()}
    assert "training, 1 cases: Thresher's, layer from 2.00× to 2.00×." in labels["speedup"]
    assert "inference, batch 32" in labels["latency-32"]


@pytest.mark.parametrize("rows", [[], [row("net", 0.9)], [row("net", 0.9, "forward", thresher=2.0)]])
def test_nothing_to_compare_is_no_figure(rows):
    assert speedup_figures(document(*rows)) == {}


def test_the_file_stands_alone():
    svg = speedup_figures(document(row("net", 0.8, thresher=2.0), row("net", 0.9, thresher=3.0)))["speedup"]
    assert ElementTree.fromstring(svg).tag == f"{SVG}svg"
    assert "var(--" not in svg
    assert svg == speedup_figures(document(row("net", 0.8, thresher=2.0), row("net", 0.9, thresher=3.0)))["speedup"]
