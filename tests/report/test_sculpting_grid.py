"""The table of a sculpting says what the numbers say, and what went wrong."""

import pytest

from thresher.experiments import StudyRun, sculptures, summarize
from thresher.experiments.sculpting import sculpted, size
from thresher.report.sculpting_grid import sculpting_grid, sculpting_sentences


@pytest.fixture
def grid():
    recipes = sculptures("mlp-3", ["mlp-5", "mlp-7"], "mnist", 3)
    errors = [3.0, 2.0, 4.0, 5.0, 4.1, 5.0, 4.0, 3.2, None]
    failure = {"type": "NonFiniteError", "message": "the loss is nan"}
    summary = summarize(
        StudyRun(recipe, failure=failure)
        if error is None
        else StudyRun(recipe, result={"collapse": {}, "test_error_final_pct": error})
        for recipe, error in zip(recipes, errors, strict=True)
    )
    sizes = {model: size(model) for model in ("mlp-3", "mlp-5", "mlp-7")}
    return sculpting_grid(summary, sculpted(summary, "mlp-3"), sizes)


def test_the_plain_network_is_first_and_the_others_stand_against_it(grid):
    assert (grid.title, grid.columns) == ("89,610 parameters each, on mnist", ("error", "difference to mlp-3"))
    labels = [label for label, _ in grid.rows]
    # mlp-5 has 784·100 + 3·100² + 1000 weights, of which those of two layers go, with what their biases take
    assert labels[0] == "mlp-3, dense"
    assert labels[1] == f"mlp-5, {100 * 20200 / 109400:.1f} % of 109,400 weights removed"
    plain, five, seven = (entries for _, entries in grid.rows)
    assert plain[1] is None
    assert (plain[0].mean, five[0].mean) == ("4.00", "3.10")
    assert (five[1].mean, five[1].word, five[1].strong) == ("−0.90", "better", True)
    assert (seven[1].word, seven[1].strong, seven[1].count, seven[0].flagged) == ("", False, "(2 of 3)", True)
    assert "† mlp-7: 1 of 3 diverged (NaN or infinity)." in grid.notes


def test_sentences_hold_every_row(grid):
    said = sculpting_sentences(grid)
    assert said[0] == "89,610 parameters each, on mnist."
    assert said[1] == "Test error in % after the last step: mean ± half of its 95 % interval (runs)."
    assert said[2].startswith("mlp-3, dense: 4.00 ± ")
    assert "difference" not in said[2]
    assert said[3].endswith("difference to mlp-3 −0.90 ± 0.25 (3) better.")
    assert "† mlp-7: 1 of 3 diverged (NaN or infinity)." in said
    assert len(said) == 5 + len(grid.notes)
