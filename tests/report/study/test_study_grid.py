import re

import pytest

from thresher.experiments.interval import estimate
from thresher.experiments.study_run import StudyRun
from thresher.experiments.summary import summarize
from thresher.report.study_grid import Entry, comparisons_note, difference_grids, error_grids, troubles

NUMBERS = re.compile(r"^([−+]?[\d.]+)(?: ± ([\d.]+))?(?: \((\d+)(?: of (\d+))?\))?( better| worse)?(†?)$")


def read(text):
    mean, half, n, of, word, flag = NUMBERS.match(text).groups()
    return float(mean.replace("−", "-")), half and float(half), n and int(n), of and int(of), (word or "").strip(), flag


def test_methods_go_down_and_sparsities_across(summary):
    (grid,) = error_grids(summary)
    assert grid.title == "lenet-300-100 on digits"
    assert grid.columns == ("dense", "80 %", "95 %")
    assert [label for label, _ in grid.rows] == ["dense", "random", "snip", "magnitude"]
    assert [[bool(entry) for entry in row] for _, row in grid.rows] == [[True, False, False]] + [
        [False, True, True]
    ] * 3


def test_every_number_is_that_of_its_cell(summary):
    (grid,) = error_grids(summary)
    block = summary.blocks[0]
    for label, row in grid.rows:
        for sparsity, entry in zip((0.0, 0.8, 0.95), row, strict=True):
            if entry:
                error = block.cell(label, sparsity).error
                assert read(entry.text) == (round(error.mean, 2), round(error.half_width, 2), None, None, "", "")


@pytest.mark.parametrize("baseline", ["random", "dense"])
def test_differences_are_signed_and_say_what_they_show(summary, baseline):
    (grid,) = difference_grids(summary, baseline)
    assert grid.columns == ("80 %", "95 %")
    wanted = ["random", "snip", "magnitude"] if baseline == "dense" else ["snip", "magnitude"]
    assert [label for label, _ in grid.rows] == wanted
    for label, row in grid.rows:
        for sparsity, entry in zip((0.8, 0.95), row, strict=True):
            cell = summary.blocks[0].cell(label, sparsity)
            pair = cell.against_dense if baseline == "dense" else cell.against_random
            mean, half, n, _, word, _ = read(entry.text)
            assert (mean, half, n) == (round(pair.difference.mean, 2), round(pair.difference.half_width, 2), None)
            assert word == ("" if pair.verdict == "no difference shown" else pair.verdict)
            assert entry.text[0] in "+−"


def test_how_many_runs_is_said_once_where_all_have_as_many(summary, troubled):
    for grids in (error_grids, lambda some: difference_grids(some, "dense")):
        (grid,) = grids(summary)
        assert "interval, 3 runs each" in grid.measured
        assert not any("(" in entry.text for _, row in grid.rows for entry in row if entry)
        (grid,) = grids(troubled)
        assert "interval (runs)" in grid.measured
        assert all("(" in entry.text for _, row in grid.rows for entry in row if entry)
    # all lack the same: that is no number to be said once
    (grid,) = error_grids(summarize([StudyRun(run.recipe) for run in summary.runs]))
    assert "interval (runs)" in grid.measured


def test_a_pair_that_lacks_an_error_is_counted_as_missing(troubled):
    (grid,) = difference_grids(troubled, "random")
    texts = {label: [entry.text for entry in row] for label, row in grid.rows}
    assert "(5)" in texts["snip"][0]
    assert "(2 of 5)" in texts["snip"][1]


def test_without_a_baseline_there_is_no_grid_of_differences(runs):
    alone = summarize([run for run in runs if run.recipe.method == "snip"])
    assert difference_grids(alone, "dense") == difference_grids(alone, "random") == []
    assert len(error_grids(alone)) == 1


def test_trouble_is_flagged_and_told_below(troubled):
    (grid,) = error_grids(troubled)
    entries = {(label, column): e for label, row in grid.rows for column, e in zip(grid.columns, row, strict=True) if e}
    assert [place for place, entry in entries.items() if entry.text.endswith("†")] == [("snip", "95 %")]
    assert "(2 of 5)" in entries["snip", "95 %"].text
    (note,) = (note for note in grid.notes if note.startswith("†"))
    for words in ("1 of 5 failed", "1 of 5 diverged", "1 of 5 not run", "1 of 5 collapsed", "1 of 5 learned nothing"):
        assert words in note
    assert troubles(troubled.blocks[0].cell("random", 0.8)) == []


@pytest.mark.parametrize(
    ("values", "num_runs", "text"),
    [
        ([1.7], 1, "1.70 (1)"),
        ([2.0, 2.0], 2, "2.00 (2)"),
        ([-1.0], 3, "−1.00 (1 of 3)"),
        ([], 4, "– (0 of 4)"),
    ],
)
def test_an_entry_without_an_interval_says_none(values, num_runs, text):
    assert Entry(estimate(values) if values else None, num_runs).text == text


def test_a_missing_interval_is_explained(runs):
    (grid,) = error_grids(summarize([run for run in runs if run.recipe.seed == 0]))
    assert "Without ±: one run, or runs that are all equal, which give no interval." in grid.notes
    assert not any(entry.strong for _, row in grid.rows for entry in row if entry)


def test_the_number_of_comparisons_is_said_with_what_chance_makes_of_it(summary):
    assert summary.num_comparisons == 6 + 4
    assert comparisons_note(summary).startswith("10 differences were tested one by one, each at 95 %")


def test_a_study_that_is_not_run_has_a_table_too(summary):
    nothing = summarize([StudyRun(run.recipe) for run in summary.runs])
    (grid,) = error_grids(nothing)
    assert {entry.text for _, row in grid.rows for entry in row if entry} == {"– (0 of 3)†"}
