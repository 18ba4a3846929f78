import re
import sys
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib.style
import numpy as np
import pytest
from matplotlib.figure import Figure

from thresher.core.errors import MissingExtraError
from thresher.experiments.measured_speedup import measured_speedup
from thresher.experiments.study_run import StudyRun
from thresher.experiments.summary import summarize
from thresher.report.study_chart import ON_PAPER, looks
from thresher.report.study_figures import study_figures, write_study_figures
from thresher.report.study_learning import seed_curve
from thresher.report.svg import STYLE

KINDS = ("error-sparsity", "error-theoretical", "error-measured", "layers", "learning")
PLACE = ("digits", "lenet-300-100")


def charts(summary, place=PLACE):
    found = study_figures(summary)[place]
    return dict(zip(KINDS, found, strict=True))


def texts(svg):
    return {element.text for element in ElementTree.fromstring(svg).iter("text")}


def line(svg, colour, least=2):
    """[n, 2] of the longest open path of a colour, y upwards, in the figure's units."""
    found = []
    for path in ElementTree.fromstring(svg).iter("path"):
        style = path.attrib.get("style", "")
        if f"stroke: var(--{colour})" in style and "fill: none" in style:
            found.append(np.array(re.findall(r"[ML] ([\d.-]+) ([\d.-]+)", path.attrib["d"]), float) * [1, -1])
    return max((points for points in found if len(points) >= least), key=len)


def assert_affine(places, drawn):
    slope, start = np.polyfit(places, drawn, 1)
    assert slope > 0
    np.testing.assert_allclose(slope * np.array(places) + start, drawn, atol=0.02)


@pytest.fixture
def wide(maker):
    return maker(sparsities=(0.5, 0.8, 0.9, 0.95, 0.99))


def means(summary, label):
    return [cell.error.mean for cell in summary.cells if cell.label == label]


def test_the_error_chart_goes_through_the_means_by_the_logarithm_of_what_is_kept(wide):
    svg = charts(wide)["error-sparsity"].chart.inline()
    sparsities = [0.5, 0.8, 0.9, 0.95, 0.99]
    look = looks(wide.blocks[0].labels)
    for label in ("random", "snip", "magnitude"):
        points = line(svg, look[label]["color"], least=5)
        assert_affine(-np.log10(1 - np.array(sparsities)), points[:, 0])
        assert_affine(np.log10(means(wide, label)), points[:, 1])
    assert {"50 %", "99 %", "dense", "snip"} <= texts(svg)


def test_evenly_spaced_sparsities_can_be_had(wide):
    chart = study_figures(wide, log_density=False)[PLACE][0].chart
    assert_affine([0.5, 0.8, 0.9, 0.95, 0.99], line(chart.inline(), "method-0", least=5)[:, 0])


def test_theoretical_speedup_is_on_a_logarithmic_axis(wide):
    points = line(charts(wide)["error-theoretical"].chart.inline(), "method-1", least=5)
    assert_affine(-np.log10(1 - np.array([0.5, 0.8, 0.9, 0.95, 0.99])), points[:, 0])


def test_measured_speedup_is_the_median_over_seeds_of_times_over_dense(wide):
    points = line(charts(wide)["error-measured"].chart.inline(), "method-1", least=5)
    cells = [cell for cell in wide.cells if cell.label == "snip"]
    speedups = [np.median([measured_speedup(run, wide.runs) for run in cell.runs]) for cell in cells]
    assert_affine(np.log10(speedups), points[:, 0])


def test_machines_that_differ_are_not_compared_and_the_place_says_so(runs, result_of):
    def moved(run):
        threads = 4 if run.recipe.method == "dense" else 1
        return replace(run, result=result_of(run.recipe, 3.0, threads=threads))

    figure = charts(summarize([moved(run) for run in runs]))["error-measured"]
    assert figure.chart is None
    assert "the dense runs were made elsewhere: threads 4, not 1" in figure.reason


def test_some_that_cannot_be_compared_are_named_in_the_caption(runs, result_of):
    last = runs[-1]
    runs[-1] = replace(last, result=result_of(last.recipe, 3.0, processor="another one"))
    caption = charts(summarize(runs))["error-measured"].chart.caption
    assert "Left out: the dense runs were made elsewhere: processor a processor, not another one." in caption


def test_simulated_runs_are_counted_in_the_caption(runs):
    pruned = [i for i, run in enumerate(runs) if run.recipe.sparsity]
    for i in pruned[:4]:
        runs[i] = replace(runs[i], result={**runs[i].result, "engine": "masked"})
    caption = charts(summarize(runs))["error-measured"].chart.caption
    assert f"4 of {len(pruned)} pruned runs simulated sparsity with dense layers." in caption


def test_layers_are_named_and_an_emptied_one_is_hollow(troubled, summary):
    svg = charts(summary)["layers"].chart.inline()
    assert {"fc1", "fc2", "fc3", "80 %", "95 %", "snip"} <= texts(svg)
    assert charts(summary)["layers"].chart.label.startswith("Dot charts of the sparsity of 3 layers")

    def hollow(text):
        styles = [e.attrib.get("style", "") for e in ElementTree.fromstring(text).iter("use")]
        return sum("fill: none" in style or "fill-opacity: 0" in style for style in styles)

    assert hollow(svg) == 0
    assert hollow(charts(troubled)["layers"].chart.inline()) == 1


def test_a_learning_curve_has_the_epochs_that_all_seeds_have(runs):
    some = [run for run in runs if run.recipe.method == "snip" and run.recipe.sparsity == 0.8]
    curve = seed_curve(some)
    assert [epoch for epoch, _ in curve] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert curve[-1][1] == [run.result["test_error_final_pct"] + 40 / 32 for run in some]
    metrics = some[1].directory / "metrics.jsonl"
    metrics.write_text("".join(metrics.read_text().splitlines(keepends=True)[:3]))
    assert [epoch for epoch, _ in seed_curve(some)] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("content", [None, "", '{"epoch": 1', '{"epoch": 1}\n', "[1]\n", "\xff"])
def test_a_broken_metrics_file_leaves_the_others(runs, content):
    some = [run for run in runs if run.recipe.method == "snip" and run.recipe.sparsity == 0.8]
    metrics = some[1].directory / "metrics.jsonl"
    metrics.unlink()
    if content is not None:
        metrics.write_bytes(content.encode("latin-1"))
    assert {len(errors) for _, errors in seed_curve(some)} == {2}


def test_a_study_that_is_not_run_has_reasons_and_no_charts(summary):
    nothing = summarize([StudyRun(run.recipe) for run in summary.runs])
    assert [figure.chart for figure in study_figures(nothing)[PLACE]] == [None] * 5
    assert all(figure.reason.endswith(".") for figure in study_figures(nothing)[PLACE])


def test_dense_alone_has_learning_curves_only(runs):
    alone = summarize([run for run in runs if run.recipe.method == "dense"])
    assert [bool(figure.chart) for figure in study_figures(alone)[PLACE]] == [False, False, False, False, True]


def test_a_hundred_layers_with_long_names_fit(runs):
    layers = [{"name": f"stage{i}.a_block_with_a_long_name.conv{i}.weight", "total": 9, "kept": 3} for i in range(110)]
    deep = [replace(run, result={**run.result, "layers": layers}) for run in runs]
    chart = charts(summarize(deep))["layers"].chart
    assert chart.size[1] < 14.0
    assert len({text for text in texts(chart.inline()) if text.startswith("stage")}) == 55


@pytest.mark.parametrize("copies", [1, 8])
@pytest.mark.parametrize("sparsities", [(0.9,), (0.8, 0.9, 0.95)])
def test_with_many_methods_the_legend_takes_nothing_from_the_axes(maker, copies, sparsities):
    few = maker(sparsities=sparsities).runs
    pruned = [run for run in few if run.recipe.method != "dense"]
    more = [
        replace(run, recipe=replace(run.recipe, weight_decay=0.001 * copy))
        for copy in range(1, copies)
        for run in pruned
    ]
    summary = summarize([*few, *more])
    assert len(summary.blocks[0].labels) == 1 + 3 * copies
    for kind, found in charts(summary).items():
        with matplotlib.style.context(["default", STYLE]):
            figure = Figure(figsize=found.chart.size, layout="constrained")
            found.chart.paint(figure, ON_PAPER)
            figure.draw_without_rendering()
        height, width = found.chart.size[1], found.chart.size[0]
        (legend,) = (box.get_window_extent().transformed(figure.dpi_scale_trans.inverted()) for box in figure.legends)
        assert 0.0 <= legend.x0 < legend.x1 <= width, kind
        assert legend.y1 <= height, kind
        for axes in figure.axes:
            box = axes.get_position()
            assert box.height * height > (1.0 if kind == "layers" else 1.6), kind
            assert box.y1 * height < legend.y0, kind


def test_looks_differ_in_more_than_colour():
    found = looks([f"method {i}" for i in range(30)])
    assert len({(look["color"], look["marker"]) for look in found.values()}) == 31
    same_colour = [look for look in found.values() if look["color"] == "method-0"]
    assert len({look["marker"] for look in same_colour}) == len(same_colour) == 5


def test_inline_charts_take_the_pages_colours_and_share_no_identifier(maker):
    summary = maker(models=("lenet-300-100", "mlp-3"))
    svgs = [figure.chart.inline() for figures in study_figures(summary).values() for figure in figures]
    assert len(svgs) == 10
    identifiers = [name for svg in svgs for name in re.findall(r' id="([^"]+)"', svg)]
    assert len(identifiers) == len(set(identifiers))
    assert not re.search("#0000[01]", "".join(svgs))
    assert {"var(--method-0)", "var(--method-2)", "var(--ink)"} <= set(re.findall(r"var\(--[\w-]+\)", svgs[0]))


def test_files_stand_alone_and_are_the_same_each_time(summary, tmp_path):
    first, second = (write_study_figures(tmp_path / name, summary) for name in "ab")
    names = [f"{kind}-lenet-300-100-digits.{ending}" for kind in KINDS for ending in ("svg", "pdf")]
    assert [path.name for path in first] == names
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
        if one.suffix == ".svg":
            svg = one.read_text()
            assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
            assert "var(--" not in svg
            assert ON_PAPER["method-0"] in svg
        else:
            assert one.read_bytes().startswith(b"%PDF")


def test_without_matplotlib_the_extra_is_named(summary, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in ("study_chart", "study_errors", "study_layers", "study_learning"):
        monkeypatch.delitem(sys.modules, f"thresher.report.{name}", raising=False)
    monkeypatch.delitem(sys.modules, "matplotlib.style", raising=False)
    with pytest.raises(MissingExtraError, match=r"thresher\[compare\]"):
        study_figures(summary)
