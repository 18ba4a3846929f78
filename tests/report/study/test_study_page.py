import html.parser
import os
import re
import shutil
import sys
from dataclasses import replace
from urllib.parse import unquote

import pytest

from thresher.core.errors import RunDirectoryError
from thresher.experiments.summary import summarize
from thresher.report.study_chart import METHOD_COLOURS
from thresher.report.study_page import write_study_report
from thresher.report.study_provenance import provenance_of
from thresher.report.study_published import Published

VOID = {"meta", "link", "br", "path", "use", "image", "rect"}


class Page(html.parser.HTMLParser):
    """A page's elements with attributes and own text, its unbalanced tags, and all of its text in one line."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.unbalanced = [], [], []
        self.feed(text)
        self.text = " ".join("".join(e["text"] for e in self.elements).split())

    def handle_starttag(self, tag, attributes):
        self.elements.append({"tag": tag, **dict(attributes), "text": ""})
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID and (not self.open or self.open.pop()["tag"] != tag):
            self.unbalanced.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1]["tag"] not in ("style", "script"):
            self.elements[-1]["text"] += f"{data} "

    def all(self, *tags):
        return [e for e in self.elements if e["tag"] in tags]


def document():
    """What `thresher reproduce --json` writes, with one row of each kind."""
    ours = {"mean": 1.72, "deviation": 0.1, "n": 5, "interval": [1.6, 1.84]}
    one = {"mean": 9.0, "deviation": None, "n": 1, "interval": None}
    rows = [
        ("lenet-300-100", "98 %", "2.4", ours, "outside", "outside by −0.51"),
        ("lenet-300-100", "reference", "1.7", ours, "within", "within"),
        ("lenet-5-caffe", "99 %", "1.1", one, "no interval", "one seed, no interval: +7.85 off"),
        ("lenet-5-caffe", "LWC", "0.7", None, "not run", "not run: method <not> here yet"),
        ("lenet-5-caffe", "x", None, ours, "not compared", "no number is printed"),
    ]
    return {
        "table": "thesis/table-3.1",
        "title": "Table 3.1, SNIP & reference",
        "source": "Lee 2021",
        "page": "p. 40",
        "measured": "test error in %",
        "budget": "quick",
        "seeds": 5,
        "readings": ["80k iterations"],
        "absent_data": {"tiny-imagenet": "no reader"},
        "departures": ["20 epochs in place of 148"],
        "rows": [
            {
                "row": row,
                "column": column,
                "printed": printed and {"value": 1.0, "words": printed},
                "ours": found,
                "verdict": {"kind": kind, "words": words, "distance": None},
            }
            for row, column, printed, found, kind, words in rows
        ],
        "claims": [
            {"text": "SNIP beats <all>", "ours": ours, "verdict": "holds"},
            {"text": "by much", "ours": {**one, "mean": -0.5}, "verdict": "no interval"},
        ],
    }


def write(summary, folder, **arguments):
    return write_study_report(folder / "study.html", "A title & more", summary, **arguments)


@pytest.fixture
def page(troubled, tmp_path):
    path = write(troubled, tmp_path / "out", notes=["A note <b>"], published=Published.of(document()))
    return Page(path.read_text(encoding="utf-8"))


def test_tags_balance_and_identifiers_are_unique_and_found(page):
    assert page.unbalanced == page.open == []
    identifiers = [e["id"] for e in page.elements if "id" in e]
    assert len(identifiers) == len(set(identifiers))
    referred = {e["aria-labelledby"] for e in page.elements if "aria-labelledby" in e}
    referred |= {e["href"][1:] for e in page.elements if (e.get("href") or "").startswith("#")}
    assert referred <= set(identifiers)


def test_the_page_speaks_to_those_who_do_not_see_it(page):
    assert page.all("html")[0]["lang"] == "en"
    assert [e["text"].strip() for e in page.all("h1")] == ["A title & more"]
    assert all(e["role"] == "img" and len(e["aria-label"]) > 20 for e in page.all("svg"))
    assert len(page.all("figure")) == len(page.all("figcaption")) == len(page.all("svg")) == 5
    assert len(page.all("table")) == len(page.all("caption"))
    assert all("scope" in e for e in page.all("th"))
    assert all(e["tabindex"] == "0" for e in page.elements if "scroll" in (e.get("class") or "").split())


def test_nothing_is_loaded_from_anywhere(page):
    assert "default-src 'none'" in next(e["content"] for e in page.all("meta") if "http-equiv" in e)
    assert not page.all("img", "iframe", "object")
    assert all("src" not in e for e in page.all("script"))
    assert {e["href"] for e in page.all("link")} == {"data:,"}


def test_what_comes_from_outside_is_escaped(page):
    for words in ("A note <b>", "the loss is nan <at> step 3", "no such file & folder", "SNIP beats <all>"):
        assert words in page.text
    assert not page.all("at", "all", "not")


def test_every_run_is_there_with_its_error_and_a_link_that_leads_to_its_page(troubled, page, tmp_path):
    links = {e["text"].strip(): e["href"] for e in page.all("a")}
    for run in troubled.runs:
        assert run.recipe.name in page.text
        linked = run.directory is not None
        assert (run.recipe.name in links) == linked
        if linked:
            target = tmp_path / "out" / unquote(links[run.recipe.name])
            assert os.path.samefile(target, run.directory / "report.html")
    values = [float(e["data-value"]) for e in page.all("td") if "data-value" in e]
    assert {run.error(troubled.measure) for run in troubled.runs if run.result} <= set(values)


def test_failures_are_listed_with_their_reasons(page):
    listed = page.text.split("What went wrong")[1].split("All runs")[0]
    assert "4 of 35" in listed
    for words in ("diverged: the loss is nan", "failed: no such file", "not run", "collapsed: nothing gets through"):
        assert words in listed


def test_every_table_entry_is_there(troubled, page):
    for cell in troubled.cells:
        assert f"{cell.error.mean:.2f}" in page.text
    assert "(2 of 5) †" in page.text or "(2 of 5)†" in page.text
    assert "10 differences were tested one by one" in page.text


def test_the_published_rows_stand_beside_ours(page):
    section = page.text.split("Ours beside theirs")[1].split("What it shows")[0]
    for words in (
        "Table 3.1, SNIP & reference. Lee 2021, p. 40. Test error in %. Budget: quick, 5 seeds.",
        "Of the cells, 1 outside, 1 within, 1 no interval, 1 not run, 1 not compared.",
        "Of the statements, 1 holds, 1 no interval.",
        "by much −0.50 (1) none no interval",
        "lenet-300-100 98 % 2.4 1.72 (5) 1.60 to 1.84 outside by −0.51",
        "lenet-5-caffe 99 % 1.1 9.00 (1) none one seed, no interval: +7.85 off",
        "lenet-5-caffe LWC 0.7 – – not run: method <not> here yet",
        "lenet-5-caffe x – 1.72 (5)",
        "SNIP beats <all> 1.72 (5) 1.60 to 1.84 holds",
        "20 epochs in place of 148",
        "80k iterations",
        "tiny-imagenet: no reader",
    ):
        assert words in section


def test_a_table_that_needed_no_run_has_a_page(tmp_path):
    page = Page(write(None, tmp_path, published=Published.of(document())).read_text(encoding="utf-8"))
    assert page.unbalanced == []
    assert "Ours beside theirs" in page.text
    assert "All runs" not in page.text


def test_code_that_differs_is_marked(runs, result_of, tmp_path):
    alike = write(summarize(runs), tmp_path / "alike").read_text()
    assert "versions of the code" not in alike
    runs[0] = replace(runs[0], result=result_of(runs[0].recipe, 3.0, code="b" * 64))
    page = Page(write(summarize(runs), tmp_path / "mixed").read_text())
    assert "Runs of 2 versions of the code stand side by side" in page.text
    assert "a" * 16 in page.text
    assert "b" * 16 in page.text


def test_provenance_adds_up(runs, result_of):
    runs[0] = replace(runs[0], result=result_of(runs[0].recipe, 3.0, processor="another"))
    found = provenance_of(runs)
    assert not found.mixed
    assert [n for _, n in found.machines] == [len(runs) - 1, 1]
    assert {machine["processor"] for machine, _ in found.machines} == {"a processor", "another"}
    assert found.seconds == 32.0 * len(runs)
    assert found.size == sum(file.stat().st_size for run in runs for file in run.directory.iterdir())


def test_a_folder_that_is_gone_takes_no_disk_and_has_no_link(summary, tmp_path):
    shutil.rmtree(tmp_path / "runs")
    page = Page(write(summary, tmp_path).read_text())
    assert page.all("a") == []
    assert "No run left a metrics.jsonl to read." in page.text


def test_equal_studies_give_equal_pages(summary, tmp_path):
    one, other = (write(summary, tmp_path / "x").read_bytes() for _ in range(2))
    assert one == other


def test_without_matplotlib_the_figures_place_names_the_extra(summary, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in ("study_chart", "study_errors", "study_layers", "study_learning"):
        monkeypatch.delitem(sys.modules, f"thresher.report.{name}", raising=False)
    monkeypatch.delitem(sys.modules, "matplotlib.style", raising=False)
    page = Page(write(summary, tmp_path).read_text())
    assert "pip install 'thresher[compare]'" in page.text
    assert page.all("svg") == []


def test_a_place_that_cannot_be_written_is_an_error(summary, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirectoryError, match="cannot write"):
        write_study_report(tmp_path / "file" / "study.html", "x", summary)


def luminance(colour):
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in bytes_of(colour)]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def bytes_of(colour):
    return [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]


def test_the_page_has_every_colour_of_the_charts_and_each_is_legible_on_its_ground(summary, tmp_path):
    text = write(summary, tmp_path).read_text()
    for name, on_paper in METHOD_COLOURS.items():
        light, dark, printed = re.findall(rf"--{name}: (#\w+);", text)
        assert light == printed == on_paper
        for colour, ground in ((light, "#fdfdfb"), (dark, "#14171a")):
            darker, lighter = sorted((luminance(colour), luminance(ground)))
            assert (lighter + 0.05) / (darker + 0.05) > 4.0
    assert {"method-0", "method-1", "method-2", "ink"} <= set(re.findall(r"var\(--([\w-]+)\)", text))
