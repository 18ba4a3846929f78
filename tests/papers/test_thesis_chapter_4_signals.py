import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import cross_entropy

from thresher.core.prunable import prunable
from thresher.core.seeds import generator
from thresher.data import load
from thresher.experiments import Recipe, run
from thresher.experiments.scoring import scoring_batches
from thresher.experiments.starting_point import starting_point
from thresher.initializers import initializer_of
from thresher.models import build
from thresher.papers import PAPERS
from thresher.papers.published import Computed, Trained
from thresher.papers.thesis_chapter_4 import lowest_test_error, training_loss_until
from thresher.papers.thesis_chapter_4_signals import (
    magnitude_after_training,
    orthogonality_score,
    propagation,
    scaled_gaussian,
)

SETTINGS = {"seed": 3, "data_dir": None, "download": False, "data": "digits"}


@pytest.fixture(scope="module")
def splits():
    return load("digits", seed=3)


def images(splits, count):
    """The examples that are looked at, in float64."""
    return torch.cat([inputs for inputs, _ in scoring_batches(splits, 100, count, 3)]).double()


def svd_of_jacobians(net, inputs):
    """All singular values, from torch.func and NumPy."""
    jacobian = torch.func.vmap(torch.func.jacrev(lambda x: net(x[None])[0]))(inputs)
    return np.linalg.svd(jacobian.flatten(2).detach().numpy(), compute_uv=False)


def test_scaled_gaussian_against_jacrev_and_a_sort_of_all_scores(splits):
    found = scaled_gaussian(**SETTINGS, model="mlp-7-tanh", variance=0.04, sparsity=0.9, examples=12)
    net = build("mlp-7-tanh", input_shape=(1, 8, 8), seed=3)
    draws = generator(3, "initialization")
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() == 2:
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=draws))
            else:
                parameter.zero_()
    weights = [p for p in net.parameters() if p.dim() == 2]
    inputs, labels = splits.train.inputs.double(), splits.train.targets
    inputs = ((inputs - inputs.mean()) / inputs.std(correction=0)).float().view(-1, 1, 8, 8)
    gradients = torch.autograd.grad(cross_entropy(net(inputs), labels), weights)
    scores = [(g * w.detach()).abs().flatten().numpy() for g, w in zip(gradients, weights, strict=True)]
    every = np.sort(np.concatenate(scores))[::-1]
    threshold = every[round(0.1 * len(every)) - 1]
    for layer, score in enumerate(scores, 1):
        # float32 scores that are nearly equal may change places
        assert found[f"sparsity fc{layer}"] == pytest.approx((score < threshold).mean(), abs=2e-3)
    values = svd_of_jacobians(net.double(), images(splits, 12))
    assert found["log10 mean"] == pytest.approx(math.log10(values.mean()), abs=1e-6)
    assert found["log10 std"] == pytest.approx(math.log10(values.std()), abs=1e-6)
    assert found["log10 CN"] == pytest.approx(math.log10(values.max() / values.min()), abs=1e-6)
    assert found["disconnected"] == 0.0


def test_weights_of_unit_variance_disconnect_the_network():
    found = scaled_gaussian(**SETTINGS, model="mlp-7-tanh", variance=1.0, sparsity=0.9, examples=4)
    assert (found["sparsity fc6"], found["disconnected"]) == (1.0, 1.0)


@pytest.mark.parametrize(("method", "isometry"), [("snip", "none"), ("random", "frobenius")])
def test_propagation_is_that_of_the_network_that_training_starts_from(splits, method, isometry):
    found = propagation(
        **SETTINGS,
        model="mlp-3-tanh",
        initializer="orthogonal",
        method=method,
        isometry=isometry,
        sparsities=(0.5, 0.9),
        examples=8,
    )
    assert len(found) == 4 * 2
    for sparsity in (0.5, 0.9):
        recipe = Recipe(
            data="digits",
            model="mlp-3-tanh",
            initializer="orthogonal",
            method=method,
            isometry=isometry,
            sparsity=sparsity,
            score_examples=0,
            seed=3,
        )
        net, mask = starting_point(recipe, splits)
        mask.apply_(net)
        values = svd_of_jacobians(net.double(), images(splits, 8))
        for name in ("mean", "std", "max", "min"):
            assert found[f"{name} {sparsity:g}"] == pytest.approx(getattr(values, name)(), rel=1e-6)


def test_orthogonality_score_has_the_identity_of_the_outputs():
    fields = {"model": "lenet-300-100", "initializer": "orthogonal"}
    found = orthogonality_score(**SETTINGS, **fields, isometry="none", examples=32)["orthogonality score"]
    recipe = Recipe(data="digits", method="snip", sparsity=0.9, score_examples=32, seed=3, **fields)
    net, mask = starting_point(recipe, load("digits", seed=3))
    mask.apply_(net)
    scores = [
        np.linalg.norm(w @ w.T - np.eye(len(w))) for w in (net.get_parameter(name).detach().numpy() for name in mask)
    ]
    assert found == pytest.approx(np.mean(scores), rel=1e-5)
    repaired = orthogonality_score(**SETTINGS, **fields, isometry="frobenius", examples=32)["orthogonality score"]
    assert repaired < found


def test_a_trained_network_is_pruned_by_the_size_of_all_its_weights(splits, tmp_path):
    rate, steps = 0.05, 30
    words = {"initializer": "orthogonal", "learning_rate": rate, "steps": steps}
    found = magnitude_after_training(**SETTINGS, model="mlp-3-tanh", **words, sparsities=(0.0, 0.6), examples=9)
    recipe = Recipe(
        data="digits",
        model="mlp-3-tanh",
        initializer="orthogonal",
        optimizer="sgd",
        learning_rate=rate,
        budget=f"{steps}it",
        decay_every="8it",
        evaluate_every="7it",
        seed=3,
    )
    run(recipe, tmp_path / "run", download=False)
    net, _ = starting_point(recipe, splits)
    seen = images(splits, 9)
    expected = {"initial": svd_of_jacobians(net.double(), seen)}
    net.load_state_dict(load_file(tmp_path / "run" / "model.safetensors"))
    expected["0"] = svd_of_jacobians(net, seen)
    weights = [p for p in net.parameters() if p.dim() == 2]
    sizes = np.sort(np.concatenate([w.detach().abs().flatten().numpy() for w in weights]))
    with torch.no_grad():
        for weight in weights:
            weight[weight.abs() < sizes[round(0.6 * len(sizes))]] = 0.0
    expected["0.6"] = svd_of_jacobians(net, seen)
    assert set(found) == {f"{name} {key}" for key in expected for name in ("mean", "std", "max", "min")}
    for key, values in expected.items():
        for name in ("mean", "std", "max", "min"):
            assert found[f"{name} {key}"] == pytest.approx(getattr(values, name)(), rel=1e-6)
    assert found["mean 0"] != found["mean initial"]


def test_the_lowest_error_and_the_early_loss_are_read_off_the_rows():
    rows = [
        {"step": 500, "train_loss": 2.0, "test_error_pct": 8.0},
        {"step": 1000, "train_loss": 1.0, "test_error_pct": 3.0},
        {"step": 1500, "train_loss": 0.6, "test_error_pct": 5.0},
    ]
    assert lowest_test_error({}, rows) == 3.0
    assert (training_loss_until(1000)({}, rows), training_loss_until(400)({}, rows)) == (1.5, None)


def test_table_4_1_holds_the_logarithms_of_what_is_printed():
    cells = {(cell.row, cell.column): cell for cell in PAPERS["thesis/table-4.1"].cells}
    for variance, mean, condition in (
        ("0.0001", 2.46e-07, 4.66e00),
        ("0.01", 4.49e-01, 5.14e01),
        ("1", 1.03e03, 3.34e11),
    ):
        row = f"γ = {variance}"
        assert 10 ** cells[row, "log10 mean"].printed.value == pytest.approx(mean)
        assert 10 ** cells[row, "log10 condition number"].printed.value == pytest.approx(condition)
        work = cells[row, "log10 mean"].work["full"]
        assert isinstance(work, Computed)
        assert dict(work.computation.arguments)["variance"] == float(variance)
    sparsities = [cells["γ = 1", f"sparsity of layer {layer}"].printed.value for layer in range(1, 8)]
    # the layers of 784, 100 and 10 weigh as many, and 90 % are removed in all
    sizes = np.array([784 * 100, *[100 * 100] * 5, 100 * 10])
    assert np.average(sparsities, weights=sizes) == pytest.approx(0.9, abs=0.005)


def test_the_errors_of_table_4_1_are_trained_from_weights_of_the_variance_that_is_printed():
    cells = {(cell.row, cell.column): cell for cell in PAPERS["thesis/table-4.1"].cells}
    errors = {"0.0001": 2.66, "0.001": 2.67, "0.01": 2.67, "0.1": 2.61, "1": 90.2, "10": 90.2}
    for variance, printed in errors.items():
        same, anew = (cells[f"γ = {variance}", column] for column in ("error", "error, drawn anew"))
        assert same.printed.value == anew.printed.value == printed
        recipe, other = same.work["full"].recipe, anew.work["full"].recipe
        assert initializer_of(recipe.initializer).std ** 2 == pytest.approx(float(variance))
        assert (recipe.model, recipe.method, recipe.sparsity, recipe.score_examples) == ("mlp-7-tanh", "snip", 0.9, 0)
        assert recipe.differences(other) == {"reinitialize": (False, True), "reinitialize_by": (None, "glorot")}


def test_the_curves_of_figure_4_2_differ_in_method_and_isometry_alone():
    cells = [cell for cell in PAPERS["thesis/figure-4.2"].cells if isinstance(cell.work["full"], Trained)]
    recipes = {cell.row: cell.work["full"].recipe for cell in cells}
    base = recipes["tanh, LDI-CS"]
    assert base.differences(recipes["tanh, LDI-CS-AI"]) == {"isometry": ("none", "frobenius")}
    assert base.differences(recipes["tanh, LDI-Rand"]) == {"method": ("snip", "random")}
    assert set(base.differences(recipes["tanh, LDI-Dense"])) == {"method", "sparsity"}
    assert base.differences(recipes["tanh, VS-CS"]) == {"initializer": ("orthogonal", "glorot")}
    for cell in cells:
        quick, full = (cell.work[budget].recipe for budget in ("quick", "full"))
        # the beginning of the same run
        assert set(quick.differences(full)) == {"budget"}
        assert (full.budget, full.decay_every) == ("80000it", "20000it")


def test_tables_4_4_and_4_5_score_and_train_as_printed():
    table = {(cell.row, cell.column): cell for cell in PAPERS["thesis/table-4.4"].cells}
    losses = {
        "GT": "labels",
        "Pred. (raw)": "prediction-raw",
        "Pred. (softmax)": "prediction-softmax",
        "Unif.": "uniform",
    }
    for (row, column), cell in table.items():
        recipe = cell.work["full"].recipe
        assert (recipe.score_loss, recipe.model) == (losses[row], f"mlp-{column[2:]}-tanh")
        assert (recipe.sparsity, recipe.score_examples, recipe.initializer) == (0.9, 0, "orthogonal")
    assert [table[row, "K=7"].printed.value for row in losses] == [2.61, 3.60, 3.56, 2.94]
    transferred = {
        (cell.row, cell.column): cell.work["full"].recipe
        for cell in PAPERS["thesis/table-4.5"].cells
        if cell.work["full"].recipe.score_data
    }
    assert {labels: (recipe.score_data, recipe.data) for labels, recipe in transferred.items()} == {
        ("F-MNIST → MNIST", "sup."): ("fashion-mnist", "mnist"),
        ("F-MNIST → MNIST", "unsup."): ("fashion-mnist", "mnist"),
        ("MNIST → F-MNIST", "sup."): ("mnist", "fashion-mnist"),
        ("MNIST → F-MNIST", "unsup."): ("mnist", "fashion-mnist"),
    }
    # the column Δ, which the module does not hold
    rows = {}
    for cell in PAPERS["thesis/table-4.5"].cells:
        rows.setdefault(cell.row, {})[cell.column] = cell.printed.value
    assert [round(row["unsup."] - row["sup."], 2) for row in rows.values()] == [0.52, 0.14, 1.11, -0.78]


def test_sculpted_networks_are_pruned_to_the_size_of_the_base():
    sizes = {}
    for cell in PAPERS["thesis/table-4.6"].cells:
        recipe = cell.work["full"].recipe
        with torch.device("meta"):
            weights = prunable(build(recipe.model))
        sizes[recipe.model] = (sum(weight.numel() for weight in weights.values()), recipe.sparsity)
    assert len(sizes) == 9
    base, _ = sizes["resnet-20-padded"]
    for total, sparsity in sizes.values():
        # the code of the thesis also counts biases, and does not widen the first convolution: 0.4 points at most
        assert sparsity == pytest.approx(1 - base / total, abs=0.004)


def test_table_4_3_is_table_4_2_with_other_activations():
    rectified = {(cell.row, cell.column): cell.work["full"] for cell in PAPERS["thesis/table-4.2"].cells}
    endings = {"tanh": "tanh", "l-relu": "leaky-relu", "selu": "selu"}
    cells = PAPERS["thesis/table-4.3"].cells
    assert len(cells) == 30
    for cell in cells:
        network, activation = cell.column.split(", ")
        ours, theirs = cell.work["full"].recipe, rectified[cell.row, f"{network} error"].recipe
        assert set(ours.differences(theirs)) == {"model"}
        assert ours.model.replace(f"-{endings[activation]}", "") == theirs.model
        with torch.device("meta"):
            kinds = {type(module) for module in build(ours.model).modules()}
        assert {"tanh": nn.Tanh, "l-relu": nn.LeakyReLU, "selu": nn.SELU}[activation] in kinds
        assert nn.ReLU not in kinds


def test_wrn16_is_trained_on_tiny_imagenet():
    cell = PAPERS["thesis/table-4.2"].cell("VS-H", "WRN16 error")
    recipe = cell.work["full"].recipe
    assert (recipe.data, recipe.model, recipe.batch_size, recipe.budget) == (
        "tiny-imagenet",
        "wrn-16-6",
        200,
        "100000it",
    )
    assert cell.printed.value == 46.62
    score = PAPERS["thesis/table-4.2"].cell("VS-H", "WRN16 OS").work["full"]
    assert (score.computation.data, dict(score.computation.arguments)["model"]) == ("tiny-imagenet", "wrn-16-6")


def test_figure_4_8_trains_four_networks_without_normalisation():
    recipes = {cell.row: cell.work["full"].recipe for cell in PAPERS["thesis/figure-4.8"].cells}
    assert {row: (r.method, r.sparsity, r.isometry) for row, r in recipes.items()} == {
        "LDI-Dense": ("dense", 0.0, "none"),
        "LDI-CS": ("snip", 0.9, "none"),
        "LDI-CS-AIF": ("snip", 0.9, "frobenius"),
        "LDI-CS-AIS": ("snip", 0.9, "spectral"),
    }
    for recipe in recipes.values():
        with torch.device("meta"):
            net = build(recipe.model)
        assert not any(isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d) for module in net.modules())
