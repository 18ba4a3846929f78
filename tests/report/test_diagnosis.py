"""A diagnosis in sentences, tables and on a page: what is said follows from the numbers, and nothing is left out."""

import copy
import html
import io
import json
import re
import shutil
import subprocess

import pytest
from rich.console import Console

from thresher.core.errors import RunDirectoryError
from thresher.report import diagnosis_figures
from thresher.report.diagnosis_page import render_diagnosis, write_diagnosis
from thresher.report.diagnosis_sentences import headline, number, repair, slowdown, starved, status, where_lost
from thresher.report.diagnosis_table import FIGURES, diagnosis_table, layer_diagnosis_table

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def figures(mean, decrease, score=9.0, floor=0.5, low=0.01):
    return {
        "jacobian_singular_mean": mean,
        "jacobian_singular_std": mean / 3,
        "jacobian_singular_max": mean * 3,
        "jacobian_singular_min": low,
        "condition_number": mean * 3 / low if low else None,
        "jacobian_examples": 300,
        "jacobian_exact": True,
        "orthogonality_score": score,
        "orthogonality_floor": floor,
        "first_order_decrease": decrease,
        "effective_sparsity": 0.98,
    }


def layer(name, kept, effective, live, mean=0.2):
    return {
        "name": name,
        "shape": [100, 300],
        "total": 30000,
        "kept": kept,
        "sparsity": 1 - kept / 30000,
        "effective": effective,
        "units": 100,
        "live_units": live,
        "units_without_input": 0,
        "units_without_output": 100 - live,
        "jacobian": {"mean": mean, "std": 0.1, "max": 1.0, "min": 0.0, "exact": True, "examples": 16},
        "jacobian_repaired": {"mean": 0.75, "std": 0.1, "max": 1.0, "min": 0.0, "exact": True, "examples": 16},
        "orthogonality_score": 8.0,
        "orthogonality_floor": 0.0,
        "orthogonality_score_repaired": 0.125,
        "activation_norm": 0.3,
        "gradient_norm": 0.4,
        "sensitivity_quantiles": {"0.05": 0.0, "0.25": 0.1, "0.5": 0.1625, "0.75": 0.3, "0.95": 0.4},
        "sensitivity_share": 0.5,
    }


@pytest.fixture
def report():
    return {
        "subject": "a <net> & its mask",
        "sparsity": 0.98,
        "kept": 1200,
        "prunable": 60000,
        "disconnected": False,
        "collapse": "connected",
        "answers_cut_off": 0,
        "unsettled_normalization": False,
        **figures(0.1, 0.5),
        "dense": figures(1.0, 16.0),
        "repaired": figures(0.5, 4.0, score=0.625),
        "layers": [layer("fc1.weight", 700, 690, 90), layer("fc2.weight", 500, 480, 95, mean=0.0625)],
    }


@pytest.mark.parametrize(
    ("mean", "word"),
    [(1.2, "gets through:"), (0.5, "gets through:"), (0.49, "weakened:"), (0.051, "weakened:"), (0.05, "hardly gets")],
)
def test_the_headline_goes_by_the_dense_networks_mean(report, mean, word):
    report["jacobian_singular_mean"] = mean
    assert word in headline(report)
    assert number(mean) in headline(report)


def test_without_a_dense_network_the_headline_goes_by_isometry(report):
    report["dense"] = None
    assert headline(report).endswith("1 time where lengths are kept")
    assert "no dense network" in slowdown(report)[0]
    report["disconnected"] = True
    assert headline(report).startswith("Nothing gets through")


def test_the_layer_that_loses_most_is_named(report):
    assert "fc2.weight" in where_lost(report)[0]
    assert "0.0625" in where_lost(report)[0]
    assert len(where_lost(report)) == 1
    report["jacobian_singular_min"] = 0
    assert "smallest singular value is 0" in where_lost(report)[1]
    report.update(jacobian_singular_min=1e-9, condition_number=3e8)
    assert number(3e8) in where_lost(report)[1]


def test_scattered_weights_are_told_from_weights_that_hang_together(report):
    assert starved(report)[0].startswith("No layer is empty")
    assert "hang together: 1,170 of 1,200 (97.5 %)" in starved(report)[1]
    report["layers"] = [layer("fc1.weight", 700, 300, 40), layer("fc2.weight", 500, 100, 20)]
    report["effective_sparsity"] = 0.9933
    said = starved(report)
    assert said[0] == "2 layers have most of their units cut off: fc1.weight, fc2.weight."
    assert "scattered: 800 of 1,200 (66.7 %)" in said[1]
    assert "99.3 % in place of 98.0 %" in said[1]


def test_empty_and_dead_layers_are_named(report):
    report["layers"] = [layer("a", 0, 0, 0), layer("b", 5, 0, 0), layer("c", 5, 5, 49), layer("d", 5, 5, 50)]
    assert [status(row) for row in report["layers"]] == ["empty", "dead", "starved", "works"]
    assert [sentence.rstrip(".").split(": ")[1] for sentence in starved(report)[:3]] == ["a", "b", "c"]


def test_the_first_step_is_held_against_the_dense_network_and_no_forecast(report):
    assert "32.0 times less" in slowdown(report)[0]
    assert "no forecast of training time" in slowdown(report)[1]
    report["first_order_decrease"] = 32.0
    assert "2.00 times more" in slowdown(report)[0]
    report["first_order_decrease"] = 0.0
    assert "does not move at all" in slowdown(report)[0]


def test_repair_says_what_it_changed_and_what_it_cannot(report):
    said = " ".join(repair(report))
    for word in ("from 9.00 to 0.625", "below 0.500", "0.500 times as large; 0.100", "8.00 times as much, 0.250 times"):
        assert word in said
    assert "the 15 units cut off stay so" in said
    for row in report["layers"]:
        row["live_units"] = 100
    assert "cut off" not in " ".join(repair(report))
    report["repaired"] = None
    assert "--repair" in repair(report)[0]


def test_where_nothing_is_removed_that_is_said(report):
    report.update(dense=None, kept=60000)
    assert slowdown(report)[0].endswith("is 0.500. Nothing is removed: this is the dense network.")
    report["kept"] = 59999
    assert "values are not known here" in slowdown(report)[0]


def test_a_disconnected_network_is_offered_no_repair_and_no_ratio_of_steps(report):
    report["disconnected"] = True
    for after in (report["repaired"], None):
        report["repaired"] = after
        assert "biases alone" in slowdown(report)[0]
        assert "times" not in " ".join(slowdown(report))
        assert "cannot help" in repair(report)[0]
        assert "--repair" not in " ".join(repair(report))


def test_one_layer_and_two_agree_with_their_verbs(report):
    one = [layer("a", 0, 0, 0), layer("b", 5, 0, 0), layer("c", 5, 5, 49)]
    report["layers"] = one
    assert starved(report)[:3] == [
        "1 layer keeps nothing at all: a.",
        "1 layer keeps weights, none of which has an effect: b.",
        "1 layer has most of its units cut off: c.",
    ]
    report["layers"] = one * 2
    assert starved(report)[0] == "2 layers keep nothing at all: a, a."


def test_what_repair_makes_worse_is_said(report):
    report["condition_number"] = report["repaired"]["condition_number"]
    assert "worse" not in " ".join(repair(report))
    report.update(condition_number=13.2)
    report["repaired"].update(condition_number=4839.0, first_order_decrease=0.25)
    said = " ".join(repair(report))
    assert "The condition number gets worse: 4,839, 13.2 before." in said
    assert "0.500 times as much, which is less than before" in said
    report["repaired"]["condition_number"] = None
    assert "gets worse: ∞" in " ".join(repair(report))
    report["condition_number"] = None
    assert "gets worse" not in " ".join(repair(report))


def test_answers_that_no_path_reaches_are_counted(report):
    assert "cannot depend" not in " ".join(starved(report))
    report["answers_cut_off"] = 1
    assert "1 answer is cut off: it cannot depend on what is read." in starved(report)
    report["answers_cut_off"] = 2
    assert "2 answers are cut off: they cannot depend on what is read." in starved(report)
    report["disconnected"] = True  # the headline says it of all
    assert "cannot depend" not in " ".join(starved(report))


def test_normalization_without_a_batch_is_said_where_sizes_are(report):
    assert "no batch" not in headline(report) + where_lost(report)[0] + slowdown(report)[1]
    report["unsettled_normalization"] = True
    assert headline(report).endswith("but batch normalization has seen no batch")
    for said in (where_lost(report), slowdown(report)):
        assert "not those of training" in " ".join(said)
    assert render_diagnosis(report).count("Batch normalization has seen no batch") == 2


@pytest.fixture
def unlabelled(report):
    """What is left of `report` without labels."""
    for one in (report, report["dense"], report["repaired"]):
        one["first_order_decrease"] = None
    for row in report["layers"]:
        row.update(gradient_norm=None, sensitivity_quantiles={}, sensitivity_share=None)
    return report


def test_without_labels_the_first_step_is_left_out_and_that_is_said(unlabelled):
    assert "there are no labels" in slowdown(unlabelled)[0]
    assert "no forecast" not in " ".join(slowdown(unlabelled))
    assert "first small step" not in " ".join(repair(unlabelled))
    assert "first step" not in text_of(diagnosis_table(unlabelled))
    page = render_diagnosis(unlabelled)
    assert "∞" not in page
    assert "None" not in page
    assert FIGURES["first_order_decrease"] not in page
    drawn = diagnosis_figures.norms_by_depth(unlabelled)
    assert "activations from 0.300 in the first to 0.300 in the last." in drawn
    assert "gradient" not in drawn


def text_of(table, width=200):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def test_tables_hold_every_network_and_layer(report):
    shown = text_of(diagnosis_table(report))
    assert all(word in shown for word in ("dense", "pruned", "repaired", *FIGURES.values()))
    assert re.search(r"loss lost in a first step.*16\.0 +0\.500 +4\.00", shown)
    shown = text_of(layer_diagnosis_table(report))
    assert re.search(r"fc2\.weight +500 +0\.983 +95 of 100 +0\.0625 +0\.750 +works", shown)
    report["repaired"] = None
    assert re.search(r"fc2\.weight +500 +0\.983 +95 of 100 +0\.0625 +works", text_of(layer_diagnosis_table(report)))
    report["dense"] = None
    assert "dense" not in text_of(diagnosis_table(report))


def test_nothing_is_cut_off_at_80_columns(report):
    for row in report["layers"]:
        row.update(name="stage2.0.conv2.weight", kept=2359296, sparsity=0.99996, units=1024, live_units=1000)
        row["jacobian"]["mean"] = row["jacobian_repaired"]["mean"] = 4.11e-5
    shown = text_of(layer_diagnosis_table(report), width=80)
    assert "…" not in shown
    assert re.search(r"2,359,296 +0\.99996 +1,000 of 1,024 +4\.11e-05 +4\.11e-05 +works", shown)
    assert "stage2.0.conv2.weight" in re.sub(r"[\s│]|2,359,296.*", "", shown)
    for figures in (report["dense"], report, report["repaired"]):
        figures.update(dict.fromkeys(FIGURES, 1.23e-45))
    shown = text_of(diagnosis_table(report), width=80)
    assert "…" not in shown
    assert shown.count("1.23e-45") == 3 * len(FIGURES)


def test_estimates_are_marked(report):
    shown = text_of(diagnosis_table(report)) + text_of(layer_diagnosis_table(report)) + render_diagnosis(report)
    assert "≈" not in shown
    report["jacobian_exact"] = False
    report["layers"][1]["jacobian"]["exact"] = False
    shown = text_of(diagnosis_table(report))
    assert re.search(r"mean +1\.00 +≈0\.100 +0\.500", shown)
    assert re.search(r"condition number.* +≈30\.0 ", shown)
    assert re.search(r"least that the mask allows +0\.500 +0\.500 ", shown)
    assert "≈ estimate" in shown
    shown = text_of(layer_diagnosis_table(report))
    assert re.search(r"fc1\.weight .* 0\.200 +0\.750 ", shown)
    assert re.search(r"fc2\.weight .* ≈0\.0625 +0\.750 ", shown)
    assert "≈ estimate" in shown
    page = render_diagnosis(report)
    assert "≈0.0625 → 0.750" in page
    assert "at the first 16 examples" in page


def test_the_page_says_what_its_scores_and_dashes_are(report):
    page = render_diagnosis(report)
    assert "a convolution is read as the matrix of its flattened kernel" in page
    assert "– where what a layer returns does not go into the layer that runs next" in page


def test_the_page_says_it_all_and_escapes_names(report, tmp_path):
    path = write_diagnosis(report, tmp_path / "deep" / "page.html")
    page = path.read_text()
    assert "a &lt;net&gt; &amp; its mask" in page
    assert "<net>" not in page
    plain = html.unescape(page)
    for sentence in (headline(report), *where_lost(report), *starved(report), *slowdown(report), *repair(report)):
        assert sentence in plain
    assert "0.0625 → 0.750" in page
    assert "8.00 → 0.125" in page
    assert page.count("<svg") == 2
    assert page == render_diagnosis(report)


def test_a_page_without_repair_reference_or_estimates_has_no_gaps(report):
    report.update(dense=None, repaired=None, jacobian_exact=False, condition_number=None)
    for row in report["layers"]:
        absent = ("jacobian", "jacobian_repaired", "orthogonality_score_repaired", "activation_norm", "gradient_norm")
        row.update(dict.fromkeys(absent), sensitivity_quantiles={})
    page = render_diagnosis(report)
    assert "→" not in page
    assert "None" not in page
    assert "singular values are estimates" in page
    assert "<svg" not in page


def test_without_matplotlib_the_extra_is_named(report, monkeypatch):
    import sys

    monkeypatch.delitem(sys.modules, "thresher.report.diagnosis_figures")
    monkeypatch.delattr("thresher.report.diagnosis_figures")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "thresher[report]" in render_diagnosis(report)


def test_layers_that_pass_nothing_are_drawn_at_the_edge(report):
    some = diagnosis_figures.layer_isometry(report)
    report["layers"][0]["jacobian"]["mean"] = 0.0
    none = diagnosis_figures.layer_isometry(report)
    assert some.count("var(--alarm)") == 0
    assert none.count("var(--alarm)") > 0
    for row in report["layers"]:
        row["jacobian"] = None
    assert diagnosis_figures.layer_isometry(report) is None


def test_sizes_of_a_single_layer_make_no_curve(report):
    assert "activations from 0.300 in the first" in diagnosis_figures.norms_by_depth(report)
    report["layers"] = report["layers"][:1]
    assert diagnosis_figures.norms_by_depth(report) is None


def test_a_folder_that_cannot_be_made_is_refused(report, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirectoryError):
        write_diagnosis(report, tmp_path / "file" / "page.html")


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)")
def test_the_page_fits_phone_and_desk_in_a_browser(report, tmp_path):
    report["layers"] *= 20
    page = render_diagnosis(copy.deepcopy(report))
    frame = '<iframe style="width:{}px;height:900px;border:0" srcdoc="{}"></iframe>'
    frames = "".join(frame.format(width, html.escape(page)) for width in (360, 1100))
    script = (
        "document.title = JSON.stringify([...document.querySelectorAll('iframe')].map(f => "
        "[f.contentDocument.documentElement.scrollWidth, f.contentDocument.documentElement.clientWidth]))"
    )
    (tmp_path / "page.html").write_text(f'<body onload="{html.escape(script)}">{frames}</body>')
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars")
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage")
    done = subprocess.run(
        [
            CHROMIUM, *flags, *quiet, "--window-size=1200,1000", "--enable-logging=stderr", "--v=0",
            f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", (tmp_path / "page.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    widths = json.loads(html.unescape(re.search("<title>(.*?)</title>", done.stdout).group(1)))
    assert widths == [[360, 360], [1100, 1100]]
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
