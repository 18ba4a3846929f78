"""Every published table is a file, a row of PAPERS and a thing that runs."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from torch import nn

import thresher.papers
from thresher.core.errors import UnknownNameError
from thresher.experiments import Recipe
from thresher.models import build
from thresher.papers import BUDGETS, PAPERS, published_table, recipes_of, reproduce
from thresher.papers.published import NotRun, Trained
from thresher.training.learning_rate import learning_rate_at

FILES = {path.stem for path in Path(thresher.papers.__file__).parent.glob("*.py")} - {"__init__"}
# what the tables share
SUPPORT = {
    "collapse",
    "computation",
    "cost",
    "first_layer_masks",
    "published",
    "random_labels",
    "reproduce",
    "reproduction",
    "run_missing",
    "shortened",
    "signed_gradient",
    "thesis_chapter_4",
    "thesis_chapter_4_signals",
    "thesis_protocol",
    "before_and_after",
    "training_protocol",
    "verdict",
}
ROWS = [pytest.param(table, id=name) for name, table in PAPERS.items()]


def test_every_file_is_a_row_or_named_as_support():
    rows = {re.sub(r"[/.-]", "_", name) for name in PAPERS}
    assert rows & SUPPORT == set()
    assert rows | SUPPORT == FILES


def test_an_unknown_name_is_told_the_near_miss():
    with pytest.raises(UnknownNameError, match=r"did you mean 'thesis/table-3.1'"):
        published_table("thesis/table3.1")


@pytest.mark.parametrize("name", PAPERS)
def test_a_table_is_named_as_its_row_and_cites_a_year_and_a_place(name):
    table = PAPERS[name]
    assert table.name == name
    assert re.search(r"\b(19|20)\d\d\b", table.source)
    assert re.search(r"Table|Figure|section", table.page)
    assert table.measured
    assert table.departures
    assert set(table.seeds) == set(BUDGETS)


@pytest.mark.parametrize("table", ROWS)
def test_labels_are_unique_and_claims_are_about_them(table):
    labels = [(cell.row, cell.column) for cell in table.cells]
    assert len(set(labels)) == len(labels)
    for claim in table.claims:
        assert {claim.cell, claim.minus or claim.cell} <= set(labels)
        assert (claim.above is None) != (claim.below is None)


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("table", ROWS)
def test_every_recipe_is_valid_and_survives_json(table, budget):
    for cell in table.cells:
        assert set(cell.work) == set(BUDGETS)
        assert not isinstance(cell.work[budget], NotRun) or cell.work[budget].reason
    for recipe in recipes_of(table.cells, budget, 2):
        assert Recipe.from_json(recipe.to_json(), "here") == recipe
        assert recipe.data == ("digits" if budget == "smoke" else recipe.data)
        assert re.fullmatch(r"\d+it", recipe.budget)  # cost_of reads steps


# where reading all examples takes longer than the training at quick
FEWER_SCORE = {"thesis/table-4.2", "thesis/table-4.3", "thesis/table-4.6", "thesis/figure-4.8"}


@pytest.mark.parametrize("name", PAPERS)
def test_full_is_not_shorter_than_quick_and_differs_in_nothing_else(name):
    table = PAPERS[name]
    schedule = {"budget", "decay_every", "milestones", "evaluate_every"}
    if name in FEWER_SCORE:
        schedule.add("score_examples")
    for cell in table.cells:
        quick, full = cell.work["quick"], cell.work["full"]
        if isinstance(quick, Trained):
            assert isinstance(full, Trained)
            assert set(quick.recipe.differences(full.recipe)) <= schedule
            assert int(quick.recipe.budget[:-2]) < int(full.recipe.budget[:-2])


@pytest.mark.filterwarnings("ignore::thresher.procedures.settle_collapse.CollapseWarning")
@pytest.mark.parametrize("table", ROWS)
def test_smoke_runs_and_compares_nothing(table, tmp_path):
    found = reproduce(table, budget="smoke", store=tmp_path / "runs", download=False)
    assert len(found.rows) == len(table.cells)
    for row in found.rows:
        work = row.cell.work["smoke"]
        if isinstance(work, NotRun):
            assert (row.verdict.kind, row.verdict.words) == ("not run", f"not run: {work.reason}")
        elif row.missing:
            # two numbers of some figures that are none on a few digits
            assert set(row.missing.values()) <= {"no pixel differs from another", "infinite"}
        else:
            assert row.verdict.kind == "not compared"
            assert list(row.values) == [0]
    assert {judgement.kind for judgement in found.judgements} <= {"not compared", "not run"}
    document = json.loads(json.dumps(found.document(), allow_nan=False))
    assert [(row["row"], row["column"]) for row in document["rows"]] == [(c.row, c.column) for c in table.cells]


# the column Δ of the two tables, which the modules do not hold
DELTAS = {
    "thesis/table-3.2": {
        "AlexNet-s": 0.87,
        "AlexNet-b": 0.58,
        "VGG-C": 0.45,
        "VGG-D": 0.33,
        "VGG-like": -0.26,
        "WRN-16-8": 0.42,
        "WRN-16-10": 0.52,
        "WRN-22-8": -0.29,
        "LSTM-s": -0.31,
        "LSTM-b": 0.20,
        "GRU-s": 0.54,
        "GRU-b": -0.19,
    },
    "thesis/table-3.4": {"AlexNet-s": 2.75, "AlexNet-b": 2.78, "VGG-C": 0.99, "VGG-D": 0.15, "VGG-like": 0.87},
}


@pytest.mark.parametrize("name", DELTAS)
def test_printed_errors_differ_by_the_printed_differences(name):
    rows = {}
    for cell in PAPERS[name].cells:
        rows.setdefault(cell.row, []).append(cell.printed.value)
    assert {row: round(after - before, 2) for row, (before, after) in rows.items()} == DELTAS[name]


def test_table_3_1_has_the_printed_numbers_and_sparsities():
    printed = {}
    for cell in PAPERS["thesis/table-3.1"].cells:
        work = cell.work["full"]
        if isinstance(work, Trained):
            printed[work.recipe.model, work.recipe.sparsity] = cell.printed.value
            assert work.recipe.method == ("snip" if work.recipe.sparsity else "dense")
            assert work.recipe.budget == "80000it"
    assert printed == {
        ("lenet-300-100", 0.0): 1.7,
        ("lenet-300-100", 0.95): 1.6,
        ("lenet-300-100", 0.98): 2.4,
        ("lenet-5-caffe", 0.0): 0.9,
        ("lenet-5-caffe", 0.98): 0.8,
        ("lenet-5-caffe", 0.99): 1.1,
    }


def test_table_3_3_scores_with_one_initializer_and_trains_from_another():
    recipes = [cell.work["full"].recipe for cell in PAPERS["thesis/table-3.3"].cells]
    assert {recipe.initializer for recipe in recipes} == {"normal", "truncated-normal", "glorot", "he"}
    for recipe in recipes:
        assert (recipe.reinitialize, recipe.reinitialize_by) == (True, "glorot")
        assert (recipe.optimizer, recipe.learning_rate, recipe.weight_decay) == ("adam", 0.001, 0.0)
        assert (recipe.decay, recipe.sparsity) == ("constant", 0.9)
    (gru,) = (c for c in PAPERS["thesis/table-3.3"].cells if (c.row, c.column) == ("RN", "GRU-s"))
    assert (gru.printed.value, gru.printed.deviation, gru.printed.num_runs) == (47.61, 20.49, 20)


def test_the_ablations_differ_from_the_unmodified_run_in_one_thing():
    rows = {}
    for cell in PAPERS["missing-the-mark/ablations"].cells:
        rows.setdefault(cell.row, {})[cell.column] = cell.work["full"].recipe
    assert len(rows) == 8
    for variants in rows.values():
        plain = variants["unmodified"]
        assert set(plain.differences(variants["shuffled"])) == {"perturb"}
        assert set(plain.differences(variants["inverted"])) == {"perturb"}
        assert plain.differences(variants["reinitialized"]) == {"reinitialize": (False, True)}


def test_the_ablations_of_resnet_20_decay_after_80_and_120_of_160_epochs():
    cells = [cell for cell in PAPERS["missing-the-mark/ablations"].cells if cell.row.startswith("ResNet-20")]
    assert len(cells) == 16
    for cell in cells:
        plan = cell.work["full"].recipe.plan(steps_per_epoch=352)  # 45,000 images in batches of 128
        assert (plan.steps, plan.milestones) == (160 * 352, (80 * 352, 120 * 352))
        assert [learning_rate_at(plan, epoch * 352) for epoch in (79, 80, 120)] == pytest.approx([0.1, 0.01, 0.001])


def test_table_3_4_is_trained_as_chapter_4_trains_tiny_imagenet():
    for cell in PAPERS["thesis/table-3.4"].cells:
        recipe = cell.work["full"].recipe
        assert (recipe.data, recipe.batch_size, recipe.budget) == ("tiny-imagenet", 200, "100000it")
        assert (recipe.decay_every, recipe.decay_factor, recipe.learning_rate) == ("25000it", 0.1, 0.1)
        assert (recipe.weight_decay, recipe.momentum, recipe.augment) == (5e-4, 0.9, True)
        percent = float(cell.column.removeprefix("after, ").removesuffix(" %")) if "after" in cell.column else 0.0
        assert recipe.sparsity == pytest.approx(percent / 100)
        assert percent in (0.0, 90.0 if "AlexNet" in cell.row else 95.0)
        assert isinstance(cell.work["quick"], Trained) == ("AlexNet" in cell.row)


@pytest.mark.parametrize("model", ["alexnet-s", "alexnet-b", "vgg-c", "vgg-d", "vgg-like"])
def test_the_networks_of_table_3_4_double_their_first_stride(model):
    strides = [
        next(m for m in build(model, input_shape=shape, num_classes=200).modules() if isinstance(m, nn.Conv2d)).stride
        for shape in ((3, 32, 32), (3, 64, 64))
    ]
    assert strides == ([(2, 2), (4, 4)] if "alexnet" in model else [(1, 1), (2, 2)])


@pytest.mark.parametrize("budget", ["quick", "full"])
def test_without_tiny_imagenet_one_line_says_where_to_get_it(tmp_path, budget):
    table = PAPERS["thesis/table-3.4"]
    found = reproduce(table, budget=budget, store=tmp_path / "runs", data_dir=tmp_path, download=False)
    line = found.absent["tiny-imagenet"]
    assert line.startswith(f"tiny-imagenet is not in {tmp_path}: looked for wnids.txt, ")
    assert "get tiny-imagenet-200.zip from http://cs231n.stanford.edu/, put them in " in line
    assert "\n" not in line
    trained = [row for row in found.rows if isinstance(row.cell.work[budget], Trained)]
    assert {row.verdict.words for row in trained} == {"not run: no tiny-imagenet"}


def test_random_labels_are_trained_on_and_only_the_named_run_decays_weights():
    cells = PAPERS["thesis/figure-3.4"].cells
    full = {cell.row: cell.work["full"].recipe for cell in cells}
    assert [row for row, recipe in full.items() if recipe.labels == "shuffled"] == [r for r in full if "random" in r]
    assert [row for row, recipe in full.items() if recipe.weight_decay] == ["Reference, random labels, L2"]
    rows = [{"train_loss": 2.0, "train_error_pct": 80.0}, {"train_loss": 0.5, "train_error_pct": 20.0}]
    loss, error = (cell.work["full"].quantity({}, rows) for cell in cells[:2])
    assert (loss, error) == (0.5, 20.0)


def test_seeds_beyond_the_first_share_everything_else():
    first, second = recipes_of(PAPERS["thesis/table-3.1"].cells[:1], "full", 2)
    assert dataclasses.replace(first, seed=1) == second
