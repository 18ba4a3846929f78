import decimal
import html.parser
import itertools
import json
import math
import re
import subprocess
import sys

import pytest

from thresher.core.errors import FileFormatError, RunDirectoryError
from thresher.report import write_report

VOID = {"meta", "link", "br", "path", "use", "image", "rect"}


class Page(html.parser.HTMLParser):
    """A page's elements with their ancestors, attributes and own text, and its unbalanced tags."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.open, self.unbalanced = [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = re.sub(r"\s+", " ", "".join(e["text"] for e in self.elements).replace("\N{NO-BREAK SPACE}", " "))

    def handle_starttag(self, tag, attributes):
        self.elements.append({"tag": tag, "in": [e["tag"] for e in self.open], **dict(attributes), "text": ""})
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open.pop()["tag"] != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1]["tag"] not in ("style", "script"):
            # one line of text for all: each piece goes to the latest element, so that order is kept
            self.elements[-1]["text"] += f"{data} "

    def all(self, *tags):
        return [e for e in self.elements if e["tag"] in tags]


@pytest.fixture
def page(every_run):
    return Page(every_run / "report.html")


def fields(directory):
    return json.loads((directory / "result.json").read_text()), json.loads((directory / "recipe.json").read_text())


def test_tags_balance_and_identifiers_are_unique_and_found(page):
    assert page.unbalanced == []
    assert page.open == []
    identifiers = [e["id"] for e in page.elements if "id" in e]
    assert len(identifiers) == len(set(identifiers))
    referred = {e["aria-labelledby"] for e in page.elements if "aria-labelledby" in e}
    referred |= {e["href"][1:] for e in page.elements if (e.get("href") or "").startswith("#")}
    assert referred <= set(identifiers)


def test_the_page_speaks_to_those_who_do_not_see_it(page):
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert all(e["role"] == "img" and len(e["aria-label"]) > 20 for e in page.all("svg"))
    assert len(page.all("figure")) == len(page.all("figcaption")) == len(page.all("svg"))
    assert len(page.all("table")) == len(page.all("caption"))
    assert all("scope" in e for e in page.all("th"))
    assert all(e["tabindex"] == "0" for e in page.elements if "scroll" in (e.get("class") or "").split())


def test_the_page_loads_nothing(every_run, page):
    for element in page.elements:
        assert element["tag"] not in ("iframe", "object", "embed", "base", "form")
        for attribute in ("src", "href", "action", "srcset", "data", "poster"):
            assert re.match(r"#|data:|$", element.get(attribute) or ""), element
        assert not [name for name in element if name.startswith("on")]
    text = (every_run / "report.html").read_text()
    assert not re.search(r"https?:|//\w+\.\w|@import|url\((?!#)", text)
    policy = next(e for e in page.all("meta") if "http-equiv" in e)["content"]
    assert policy.startswith("default-src 'none';")


def pairs(page):
    """What stands beside each name of a description list or of a row's heading, of all the page."""
    found = {}
    for name, value in itertools.pairwise(page.elements):
        if name["tag"] == "dt" or (name["tag"] == "th" and name.get("scope") == "row"):
            found.setdefault(name["text"].strip(), []).append(value["text"].strip())
    return found


def significant(value):
    """Three digits and no exponent, by way of exact decimals."""
    return f"{decimal.Decimal(f'{value:.2e}'):,f}"


def test_the_headline_cards_show_the_result(every_run, page):
    result, _ = fields(every_run)
    cards = {name: values[0] for name, values in pairs(page).items()}
    assert cards["Test error at the end"] == f"{result['test_error_final_pct']:.2f} %"
    assert cards["Best test error"] == f"{result['test_error_best_pct']:.2f} %"
    assert f"chosen on the test set; step {result['test_error_best_step']:,}" in page.text
    if result["test_error_at_best_validation_pct"] is None:
        assert cards["Test error at the best validation error"] == "–"
        assert "no validation set was held out" in page.text
    else:
        error = f"{result['test_error_at_best_validation_pct']:.2f} %"
        assert cards["Test error at the best validation error"] == error
        assert (
            f"chosen without the test set: validation error {result['validation_error_best_pct']:.2f} % at step "
            f"{result['validation_error_best_step']:,}"
        ) in page.text
    assert float(cards["Sparsity"]) == pytest.approx(result["sparsity"], abs=5e-4)
    assert cards["Compression ratio"] == significant(result["cost"]["compression_ratio"]) + "×"
    assert cards["Theoretical speedup"] == significant(result["cost"]["theoretical_speedup"]) + "×"
    assert cards["Time per training step"] == significant(1000 * result["seconds_per_step"]) + " ms"


def test_every_field_of_recipe_and_environment_stands_there(every_run, page):
    result, recipe = fields(every_run)
    words = {"null": "none", "true": "true", "false": "false"}
    for name, value in (recipe | result["environment"]).items():
        spelled = value if isinstance(value, str) else words.get(json.dumps(value), json.dumps(value))
        assert spelled in pairs(page)[name], name


def test_the_costs_stand_there(every_run, page):
    result, _ = fields(every_run)
    found = pairs(page)
    cost = result["cost"]
    assert found["Parameters"] == [f"{cost['parameters']:,}"]
    assert found["Kept parameters"] == [f"{cost['kept_parameters']:,}"]
    assert found["Dense multiply-adds"] == [f"{cost['dense_macs']:,}"]
    assert found["Kept multiply-adds"] == [f"{cost['kept_macs']:,}"]
    assert found["In both, without weights"] == [f"{cost['unweighted_macs']:,}"]
    assert found["Steps"] == [f"{result['steps']:,}"]
    assert found["Examples per second"] == [f"{result['examples_per_second']:,.0f}"]
    assert found["The whole run"] == [significant(result["seconds"]) + " s"]


def test_every_layer_has_its_row(every_run, page):
    result, _ = fields(every_run)
    cells = [e["text"].strip() for e in page.all("td", "th") if "tbody" in e["in"]]
    for number, layer in enumerate(result["layers"], start=1):
        start = cells.index(layer["name"]) - 1
        assert cells[start : start + 5] == [
            str(number),
            layer["name"],
            " × ".join(map(str, layer["shape"])),
            f"{layer['total']:,}",
            f"{layer['kept']:,}",
        ]
        assert float(cells[start + 5]) == pytest.approx(layer["sparsity"], abs=5e-4)
        assert cells[start + 6 : start + 8] == [f"{layer['dense_macs']:,}", f"{layer['kept_macs']:,}"]


def test_what_was_read_and_what_was_not_measured(every_run, page):
    result, _ = fields(every_run)
    cells = [e["text"].strip() for e in page.all("td") if "tbody" in e["in"]]
    for touch in result["touches"]:
        row = [touch["dataset"], touch["purpose"], f"{touch['count']:,}", f"{touch['times']:,}"]
        assert row in [cells[i : i + 4] for i in range(len(cells))]
    assert [e["text"].strip() for e in page.all("li")] == result["not_measured"]


def test_units_that_are_cut_off_are_counted_by_layer(usual_run):
    page = Page(usual_run / "report.html")
    cells = [e["text"].strip() for e in page.all("td", "th") if "tbody" in e["in"]]
    rows = [cells[i : i + 3] for i in range(len(cells))]
    assert ["fc1.weight", "3", "5"] in rows
    assert ["fc2.weight", "0", "2"] in rows


def test_the_words_that_keep_a_reader_from_a_wrong_conclusion(page):
    assert "The theoretical speedup is a count of multiply-adds, not a measured time." in page.text
    assert "lowest of all evaluations, chosen on the test set" in page.text
    assert "Is anything cut off?" in page.text


def test_the_sections_come_in_their_order(page):
    assert [e["text"].strip() for e in page.all("h2")] == [
        "Recipe",
        "Learning curves",
        "Layers",
        "Is anything cut off?",
        "Cost",
        "What the first layer looks at",
        "What was read",
        "Environment",
        "What was not measured",
    ]


def test_equal_files_make_equal_pages(run_maker):
    one, other = run_maker("one"), run_maker("other")
    assert write_report(one) == one / "report.html"
    first = (one / "report.html").read_bytes()
    assert write_report(other).read_bytes() == first
    assert write_report(one).read_bytes() == first
    assert write_report(run_maker("third", seed=1)).read_bytes() != first


def test_the_engine_is_said_with_its_layers(run_maker):
    page = Page(write_report(run_maker(result={"engine": "sparse", "sparse_layers": ["fc1", "fc3"]})))
    assert "sparse, in 2 of 3 layers" in page.text
    assert "only the kept weights" in page.text


def test_foreign_text_stays_text(run_maker, usual_run):
    evil = "</script><script>alert(1)</script><img src=x onerror='alert(2)'>\"'{{ 7 * 7 }}"
    result, _ = fields(usual_run)
    layers = [dict(layer) for layer in result["layers"]]
    layers[1]["name"] = evil
    directory = run_maker(
        recipe={"note": evil, evil: 1, "method": evil, "model": evil},
        result={
            "run": evil,
            "layers": layers,
            "engine": evil,
            "environment": {evil: evil},
            "not_measured": [evil],
            "touches": [{"dataset": evil, "purpose": evil, "count": 1, "times": 1}],
            "collapse": result["collapse"] | {"collapsed_layers": [evil], "units_without_input": {evil: 1}},
            "first_layer": {"name": evil, "input_shape": [1]},
        },
    )
    page = Page(write_report(directory))
    assert len(page.all("script")) == 1
    assert not page.all("img")
    assert page.unbalanced == []
    assert page.text.count("{{ 7 * 7 }}") >= 10


def test_nan_and_infinity_are_said_in_words(run_maker):
    directory = run_maker(
        result={"test_error_final_pct": math.nan, "test_error_best_pct": math.inf, "seconds_per_step": math.nan}
    )
    row = json.loads((directory / "metrics.jsonl").read_text().splitlines()[0])
    rows = [row | {"step": s, "epoch": s} | {k: math.nan for k in row if "loss" in k or "pct" in k} for s in range(3)]
    (directory / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    page = Page(write_report(directory))
    assert "test error not a number at the end" in page.text
    assert "∞" in page.text
    assert "No finite error was recorded." in page.text
    assert "No finite loss was recorded." in page.text


def test_a_run_that_evaluated_nothing(run_maker):
    directory = run_maker()
    (directory / "metrics.jsonl").write_text("")
    assert "No evaluation was recorded." in Page(write_report(directory)).text


def test_nothing_removed_nothing_to_look_at(run_maker):
    page = Page(write_report(run_maker(sparsity=0.0)))
    assert "lenet-300-100 kept all of its 266,200 prunable weights" in page.text
    assert "Nothing of fc1.weight was removed" in page.text


@pytest.mark.parametrize(
    ("first_layer", "said"),
    [
        (None, "The run names no first layer."),
        (("embedding.weight", (7,)), "embedding.weight is not under the mask"),
        (("fc1.weight", (3, 3)), "fc1.weight (300 × 784) reads inputs of shape 3 × 3, which make no image."),
    ],
)
def test_a_first_layer_that_is_no_picture(run_maker, first_layer, said):
    assert said in Page(write_report(run_maker(first_layer=first_layer))).text


@pytest.mark.parametrize("name", ["recipe.json", "metrics.jsonl", "result.json", "mask.safetensors"])
def test_a_broken_run_leaves_an_older_report_alone(run_maker, name):
    directory = run_maker()
    (directory / "report.html").write_text("older")
    (directory / name).write_text("{")
    with pytest.raises((FileFormatError, RunDirectoryError), match=name):
        write_report(directory)
    assert (directory / "report.html").read_text() == "older"
    assert len(list(directory.iterdir())) == 5


def test_without_matplotlib_the_page_names_the_extra(run_maker):
    directory = run_maker()
    script = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from thresher.report import write_report\n"
        f"print(write_report({str(directory)!r}))"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, capture_output=True)
    page = Page(directory / "report.html")
    assert page.text.count("this figure needs the 'report' extra: pip install 'thresher[report]'") == 5
    assert not page.all("svg")
    assert "13,310 of 266,200" in page.text


def colours(text):
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", text))


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_and_figures_stand_out_in_both_schemes(usual_run):
    text = (usual_run / "report.html").read_text()
    light, dark = re.search(r":root \{(.*?)\}.*?prefers-color-scheme: dark.*?:root \{(.*?)\}", text, re.DOTALL).groups()
    for scheme in (colours(light), colours(dark)):
        for ground in ("paper", "card"):
            for name, least in (("ink", 7), ("muted", 4.5), ("first", 3), ("second", 3), ("alarm", 3)):
                bright, dim = sorted((luminance(scheme[name]), luminance(scheme[ground])), reverse=True)
                assert (bright + 0.05) / (dim + 0.05) >= least, (name, ground, scheme)
