import csv
import io
import json
import re
from dataclasses import replace

import pytest
from rich.console import Console

from thresher.experiments.summary import summarize
from thresher.report.csv_table import study_csv
from thresher.report.json_table import study_document
from thresher.report.latex_table import latex
from thresher.report.markdown_table import markdown
from thresher.report.study_grid import Entry, Grid, difference_grids, error_grids
from thresher.report.terminal_table import study_table

HOSTILE = "a_b & 50 % $x$ #1 {y} ~z ^w \\end{tabular} | <b> *s* `c` [l]"


@pytest.fixture
def grids(troubled):
    return [*error_grids(troubled), *difference_grids(troubled, "random")]


@pytest.fixture
def hostile():
    return Grid(HOSTILE, HOSTILE, (HOSTILE,), ((HOSTILE, (Entry(None, 1),)),), (HOSTILE,))


def texts(grid):
    return [[label, *("" if entry is None else entry.text for entry in row)] for label, row in grid.rows]


def test_the_terminal_has_every_entry_and_note(grids):
    console = Console(width=200, record=True, file=io.StringIO())
    for grid in grids:
        console.print(study_table(grid))
    said = " ".join(console.export_text().split())  # notes are wrapped at the table's width
    for grid in grids:
        assert all(text in said for row in texts(grid) for text in row)
        assert all(note in said for note in grid.notes)


def cells(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_markdown_has_every_entry_in_its_place_and_the_best_in_bold(grids):
    for grid in grids:
        lines = [line for line in markdown([grid]).splitlines() if line.startswith("|")]
        assert cells(lines[0]) == ["method", *grid.columns]
        assert set(lines[1]) <= set("|-: ")
        assert [[cell.strip("*") for cell in cells(line)] for line in lines[2:]] == texts(grid)
        bold = [[cell.startswith("**") for cell in cells(line)[1:]] for line in lines[2:]]
        assert bold == [[bool(entry and entry.strong) for entry in row] for _, row in grid.rows]


def test_markdown_is_not_broken_by_what_it_is_given(hostile):
    text = markdown([hostile])
    assert {len(cells(row)) for row in text.splitlines() if row.startswith("|")} == {2}
    assert not re.search(r"(?<!\\)[<>`\[\]_]", text)


def plain(text):
    """LaTeX back to what a reader sees; what is left over of a command shows."""
    for command, letter in ((r"$\pm$", "±"), ("$-$", "−"), (r"\textsuperscript{$\dagger$}", "†")):
        text = text.replace(command, letter)
    text = re.sub(r"\{\\bfseries\\boldmath (.*)\}", r"\1", text)
    return re.sub(r"\\([%&_#])", r"\1", text).replace("--", "–").strip()


def test_latex_has_every_entry_in_its_place(grids):
    for grid in grids:
        document = latex([grid])
        lines = document.splitlines()
        rows = [line.removesuffix(r"\\").split(" & ") for line in lines if line.endswith(r"\\")]
        assert [plain(cell) for cell in rows[0]] == ["method", *grid.columns]
        assert [[plain(cell) for cell in row] for row in rows[1:]] == texts(grid)
        assert rf"\begin{{tabular}}{{l{'r' * len(grid.columns)}}}" in document
        assert [rule for rule in lines if rule.endswith("rule")] == [r"\toprule", r"\midrule", r"\bottomrule"]


def test_latex_is_balanced_and_escaped_whatever_it_is_given(grids, hostile):
    for grid in [*grids, hostile]:
        document = latex([grid])
        body = "\n".join(line for line in document.splitlines() if not line.startswith("%"))
        commands = re.findall(r"\\(begin|end)\{(\w+)\}", body)
        assert commands == [("begin", "table"), ("begin", "tabular"), ("end", "tabular"), ("end", "table")]
        bare = re.sub(r"\\[a-zA-Z]+|\\[%&_#${}]|\\\\", "", body)
        depth = 0
        for letter in bare:
            depth += (letter == "{") - (letter == "}")
            assert depth >= 0
        assert depth == 0
        assert bare.count("$") % 2 == 0
        assert not set("#~^_%<>\\±−–×†") & set(bare)
        assert all(line.count("&") == len(grid.columns) for line in bare.splitlines() if "&" in line)


def test_json_holds_every_number_in_full_and_is_json(troubled):
    document = json.loads(json.dumps(study_document(troubled), allow_nan=False))
    assert (document["measure"], document["confidence"]) == (troubled.measure, 0.95)
    for cell, found in zip(troubled.cells, document["cells"], strict=True):
        assert found["label"] == cell.label
        assert found["error"]["mean"] == cell.error.mean
        assert [found["error"]["low"], found["error"]["high"]] == list(cell.error.interval)
        assert found["num_runs"] == len(cell.runs) == len(found["runs"])
        assert found["num_failed"] == cell.num_failed
        assert found["recipe"]["batch_size"] == cell.recipe.batch_size
        assert "seed" not in found["recipe"]
        assert [run["error"] for run in found["runs"]] == [run.error(troubled.measure) for run in cell.runs]
        if cell.against_random:
            assert found["against_random"]["difference"]["mean"] == cell.against_random.difference.mean
            assert found["against_random"]["verdict"] == cell.against_random.verdict
    failures = [run["failure"]["type"] for cell in document["cells"] for run in cell["runs"] if run["failure"]]
    assert failures == ["NonFiniteError", "DataError"]


def test_csv_has_one_line_a_cell_with_the_numbers_of_the_json(troubled):
    rows = list(csv.DictReader(io.StringIO(study_csv(troubled))))
    assert len(rows) == len(troubled.cells)
    for row, cell in zip(rows, study_document(troubled)["cells"], strict=True):
        assert row["label"] == cell["label"]
        assert float(row["sparsity"]) == cell["sparsity"]
        assert float(row["error.mean"]) == cell["error"]["mean"]
        assert float(row["error.low"]) == cell["error"]["low"]
        for pair in ("against_dense", "against_random"):
            if cell[pair] is None:
                assert row[f"{pair}.verdict"] == row[f"{pair}.difference.mean"] == ""
            else:
                assert row[f"{pair}.verdict"] == cell[pair]["verdict"]
                assert float(row[f"{pair}.difference.mean"]) == cell[pair]["difference"]["mean"]


def test_every_study_has_the_same_columns_of_csv(runs):
    def names(some):
        return study_csv(summarize(some)).splitlines()[0]

    dense = [run for run in runs if run.recipe.method == "dense"]
    nothing = [replace(run, result=None) for run in runs]
    assert names(runs) == names(runs[::-1]) == names(dense) == names(dense[:1]) == names(nothing)


def test_csv_quotes_a_label_with_commas(runs):
    pruned = [run for run in runs if run.recipe.method == "snip"]
    other = [replace(run, recipe=replace(run.recipe, allocation="uniform", reinitialize=True)) for run in pruned]
    rows = list(csv.DictReader(io.StringIO(study_csv(summarize([*pruned, *other])))))
    assert "snip, allocation uniform, reinitialize true" in {row["label"] for row in rows}
