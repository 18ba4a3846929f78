import math

import pytest
import torch
from torch import nn

from thresher.core.errors import ArgumentError, UnknownNameError
from thresher.initializers import INITIALIZER_NAMES, INITIALIZERS, Normal, initializer_of


def drawn(initializer, seed=0):
    model = nn.Sequential(nn.Conv2d(3, 64, 5), nn.BatchNorm2d(64), nn.Flatten(), nn.Linear(400, 500))
    initializer.initialize_(model, torch.Generator().manual_seed(seed))
    return model


@pytest.mark.parametrize("std", [1.0, 0.1])
def test_the_deviation_is_the_same_in_layers_of_any_size(std):
    model = drawn(Normal(std))
    for layer, tolerance in ((model[0], 0.05), (model[3], 0.01)):
        assert layer.weight.std().item() == pytest.approx(std, rel=tolerance)
        assert not layer.bias.any()


def test_truncation_cuts_at_two_deviations_and_leaves_the_variance_of_the_cut_density():
    weights = drawn(Normal(2.0, truncated=True))[3].weight.double()
    assert weights.abs().max() <= 4.0
    # the variance of a unit normal on [-2, 2]: 1 - 2·2·φ(2) / (Φ(2) - Φ(-2))
    density, inside = math.exp(-2) / math.sqrt(2 * math.pi), math.erf(math.sqrt(2))
    assert weights.var().item() == pytest.approx(4 * (1 - 4 * density / inside), rel=0.01)


def test_the_plain_one_is_not_cut():
    assert drawn(Normal())[3].weight.abs().max() > 3.5


def test_the_generator_decides_and_norms_are_left_alone():
    a, b, c = drawn(Normal(), 1), drawn(Normal(), 1), drawn(Normal(), 2)
    assert torch.equal(a[0].weight, b[0].weight)
    assert not torch.equal(a[0].weight, c[0].weight)
    assert torch.equal(a[1].weight, torch.ones(64))


def test_the_rows_differ_in_the_cut_alone():
    assert (INITIALIZERS["normal"], INITIALIZERS["truncated-normal"]) == (Normal(1.0), Normal(1.0, truncated=True))


@pytest.mark.parametrize("std", [0.0, -1.0, math.inf, math.nan])
def test_a_deviation_is_positive(std):
    with pytest.raises(ArgumentError, match=r"std is a standard deviation and positive: got"):
        Normal(std)


@pytest.mark.parametrize(("name", "variance"), [("normal:1e-4", 1e-4), ("normal:10", 10.0)])
def test_the_number_behind_the_colon_is_the_variance(name, variance):
    weights = drawn(initializer_of(name))[3].weight.double()
    assert weights.var().item() == pytest.approx(variance, rel=0.01)
    assert weights.abs().max() > 3.5 * variance**0.5


def test_truncation_leaves_the_named_variance_to_the_density_before_the_cut():
    assert drawn(initializer_of("truncated-normal:0.25"))[3].weight.abs().max() <= 1.0
    assert initializer_of("truncated-normal:0.25") == Normal(0.5, truncated=True)


def test_without_a_number_the_rows_are_what_they_were():
    assert all(initializer_of(name) is row for name, row in INITIALIZERS.items())
    assert {name for name in INITIALIZER_NAMES if name not in INITIALIZERS} == {
        "normal:VARIANCE",
        "truncated-normal:VARIANCE",
    }


@pytest.mark.parametrize("text", ["abc", "-1", "0", "", "nan", "inf", "1e-400"])
def test_what_is_no_variance_is_refused(text):
    with pytest.raises(ArgumentError, match=f"behind the colon .*'truncated-normal:VARIANCE'.* got '{text}'"):
        initializer_of(f"truncated-normal:{text}")


@pytest.mark.parametrize(
    ("name", "near"), [("nromal:0.1", "normal"), ("glorot:0.1", "glorot"), ("orthogonal:2", "orth")]
)
def test_only_normal_weights_take_a_variance(name, near):
    with pytest.raises(UnknownNameError, match=f"unknown initializer '{name}'.*did you mean '{near}"):
        initializer_of(name)
