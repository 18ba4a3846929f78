from dataclasses import replace

import pytest

from thresher.experiments.study_run import StudyRun
from thresher.experiments.summary import summarize
from thresher.report.study_sentences import study_sentences


def test_what_went_wrong_comes_first_with_its_counts(troubled):
    assert study_sentences(troubled)[0].startswith(
        "Of 35 runs, 1 failed, 1 diverged, 1 not run, 1 collapsed and 1 learned nothing."
    )


def test_a_study_without_trouble_says_so(summary):
    assert study_sentences(summary)[0] == "All 21 runs finished; none collapsed, none diverged."


@pytest.fixture
def mixed(runs, result_of):
    """snip is better than random at 95 % only, magnitude worse at 80 % only; dense is better than all by much."""
    errors = {
        ("dense", 0.0): [1.0, 1.1, 1.3],
        ("random", 0.8): [20.0, 21.0, 22.0],
        ("random", 0.95): [30.0, 31.0, 32.0],
        ("snip", 0.8): [19.0, 22.0, 21.5],
        ("snip", 0.95): [10.0, 11.1, 12.2],
        ("magnitude", 0.8): [40.0, 41.1, 42.2],
        ("magnitude", 0.95): [29.0, 32.0, 31.5],
    }
    found = [(run, errors[run.recipe.method, run.recipe.sparsity][run.recipe.seed]) for run in runs]
    return summarize([replace(run, result=result_of(run.recipe, error)) for run, error in found])


def test_each_cell_is_told_once_against_each_baseline_where_its_verdict_is(mixed):
    assert study_sentences(mixed)[1:] == [
        "On lenet-300-100 with digits, shown to be better than random pruning: snip (at 95 %).",
        "On lenet-300-100 with digits, shown to be worse than random pruning: magnitude (at 80 %).",
        "On lenet-300-100 with digits, not told apart from random pruning: snip (at 80 %), magnitude (at 95 %).",
        "On lenet-300-100 with digits, shown to be worse than the dense network: random (at 80 and 95 %), snip (at 80 "
        "and 95 %), magnitude (at 80 and 95 %).",
    ]


def test_an_absent_baseline_is_said(runs):
    sentences = study_sentences(summarize([run for run in runs if run.recipe.method == "snip"]))
    where = "On lenet-300-100 with digits, nothing is held against"
    assert sentences[1:] == [
        f"{where} random pruning: the study has none that are trained alike.",
        f"{where} the dense network: the study has none that are trained alike.",
    ]


def test_one_run_is_a_study_too(runs):
    assert study_sentences(summarize([runs[0]])) == ["The run finished."]
    assert study_sentences(summarize([StudyRun(runs[0].recipe)]))[0].startswith("Of 1 run, 1 not run.")
