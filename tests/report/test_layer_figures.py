import re
from xml.etree import ElementTree

import numpy as np
import pytest

from thresher.report.layer_figures import mac_pairs, sparsity_bars


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter("text")]


def bars(svg):
    """Left edge, width and style of each bar, top to bottom."""
    found = []
    for path in ElementTree.fromstring(svg).iter("path"):
        style = path.attrib.get("style", "")
        if re.match(r"fill: (var\(--first\)|url\()", style) and "clip-path" in path.attrib:
            x = [float(a) for a in re.findall(r"[ML] ([\d.]+) [\d.]+", path.attrib["d"])]
            found.append((min(x), max(x) - min(x), style))
    return found


def marks(svg, colour):
    """Horizontal places of the marks in a colour of the page, in the axes (not in the legend)."""
    uses = [use for use in ElementTree.fromstring(svg).iter("use") if f"stroke: var(--{colour})" in use.attrib["style"]]
    return [float(use.attrib["x"]) for use in uses]


def test_bars_are_as_long_as_the_layers_are_sparse(drawn_layers):
    found = bars(sparsity_bars(drawn_layers, 0.9))
    widths = np.array([width for _, width, _ in found])
    sparsities = np.array([layer["sparsity"] for layer in drawn_layers])
    assert sparsities[1] == 1.0
    np.testing.assert_allclose(widths / widths[1], sparsities, atol=1e-4)


def test_a_layer_that_keeps_nothing_looks_unlike_the_others_in_more_than_colour(drawn_layers):
    found = bars(sparsity_bars(drawn_layers, 0.9))
    assert ["url(" in style for _, _, style in found] == [False, True, False]
    assert re.search(r"<pattern.*?var\(--alarm\).*?</pattern>", sparsity_bars(drawn_layers, 0.9), re.DOTALL)
    others = [layer for layer in drawn_layers if layer["kept"]]
    assert "<pattern" not in sparsity_bars(others, 0.9)


def test_names_and_kept_counts_stand_beside_the_bars(drawn_layers):
    found = texts(sparsity_bars(drawn_layers, 0.9))
    for layer in drawn_layers:
        assert layer["name"].removesuffix(".weight") in found
        assert f"{layer['kept']:,}" in found


def test_dots_stand_at_the_logarithms_of_the_multiply_adds(drawn_layers):
    svg = mac_pairs(drawn_layers)
    dense = marks(svg, "second")[: len(drawn_layers)]
    kept = marks(svg, "first")[:2]
    x = np.array(dense + kept)
    macs = [layer["dense_macs"] for layer in drawn_layers] + [n["kept_macs"] for n in drawn_layers if n["kept_macs"]]
    slope, start = np.polyfit(np.log(macs), x, 1)
    np.testing.assert_allclose(slope * np.log(macs) + start, x, atol=2e-3)
    assert marks(svg, "alarm")[0] < min(x), "a layer without any stands left of all"
    assert "none kept" in texts(svg)


def test_a_legend_entry_for_nothing_is_not_there(drawn_layers):
    assert "none kept" not in texts(mac_pairs([layer for layer in drawn_layers if layer["kept"]]))


def test_without_layers_or_multiply_adds_there_is_no_figure(drawn_layers):
    assert sparsity_bars([], 0.0) is None
    assert mac_pairs([]) is None
    assert mac_pairs([layer | {"dense_macs": 0, "kept_macs": 0} for layer in drawn_layers]) is None


@pytest.mark.parametrize("number", [41, 110, 400])
def test_many_layers_fit_a_page_and_their_names_do_not_overlap(drawn_layers, number):
    layers = [drawn_layers[0] | {"name": f"layer-{index}.weight"} for index in range(number)]
    svg = sparsity_bars(layers, 0.9)
    _, _, width, height = map(float, ElementTree.fromstring(svg).attrib["viewBox"].split())
    assert height / width < 2.6, "an A4 page is 1.4 high, a column is half of it wide"
    named = [e for e in ElementTree.fromstring(svg).iter("text") if (e.text or "").startswith("layer-")]
    y = [float(element.attrib["y"]) for element in named]
    assert len(y) > 20
    assert np.diff(y).min() > 9.0


def test_a_long_name_is_shortened_in_the_middle(drawn_layers):
    name = "encoder.layers.11.self_attention.output_projection.weight"
    found = texts(sparsity_bars([drawn_layers[0] | {"name": name}], 0.9))
    short = next(text for text in found if "…" in text)
    start, end = short.split("…")
    assert name.startswith(start)
    assert name.removesuffix(".weight").endswith(end)
    assert len(short) <= 26
