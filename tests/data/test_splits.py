"""The validation split: who is in it, and that nobody is lost."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.core.errors import ArgumentError, DataError
from thresher.core.seeds import generator
from thresher.data import Dataset, Splits, split, with_shuffled_labels


def toy(n, name="toy/train", shape=(1, 2, 2)):
    inputs = torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=generator(n, "toy"))
    return Dataset(name, inputs, torch.arange(n) % 3, 3)


@settings(max_examples=50, deadline=None)
@given(st.integers(10, 60), st.floats(0.1, 0.9), st.integers(0, 5))
def test_every_example_is_in_exactly_one_part(n, fraction, seed):
    whole = toy(n)
    parts = split(whole, toy(4, "toy/test"), fraction, seed)
    assert len(parts.validation) == round(fraction * n)
    together = torch.cat([parts.train.indices, parts.validation.indices])
    assert together.sort().values.tolist() == list(range(n))
    for part in (parts.train, parts.validation):
        assert part.name == "toy/train"
        assert part.indices.tolist() == sorted(part.indices.tolist())
        assert part.inputs.equal(whole.inputs[part.indices])
        assert part.targets.equal(whole.targets[part.indices])


def test_the_statistics_are_of_the_train_part_alone():
    parts = split(toy(40), toy(4), 0.25)
    pixels = parts.train.inputs.double() / 255
    assert parts.mean[0] == pytest.approx(float(pixels.mean()), rel=1e-14)
    assert parts.std[0] == pytest.approx(float(pixels.std(correction=0)), rel=1e-14)
    assert parts.mean != split(toy(40), toy(4), 0).mean


def test_the_draw_depends_on_the_seed_only():
    first = split(toy(100), toy(4), 0.3, seed=1).validation.indices
    torch.manual_seed(5)
    assert first.equal(split(toy(100), toy(4), 0.3, seed=1).validation.indices)
    assert not first.equal(split(toy(100), toy(4), 0.3, seed=2).validation.indices)


def test_the_split_that_published_runs_used_is_frozen():
    # a change here changes every result: it is one
    assert split(toy(20), toy(4), 0.2, seed=0).validation.indices.tolist() == [1, 4, 11, 12]


def test_zero_sets_none_apart():
    parts = split(toy(10), toy(4), 0)
    assert parts.validation is None
    assert len(parts.train) == 10
    assert (parts.input_shape, parts.num_classes) == ((1, 2, 2), 3)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 1, 10, math.nan, True, False, "0.1", None])
def test_refuses_what_is_no_fraction(fraction):
    with pytest.raises(ArgumentError, match=r"validation is a fraction in \[0, 1\): got"):
        split(toy(10), toy(4), fraction)


def test_suggests_the_fraction_of_a_percentage():
    with pytest.raises(ArgumentError, match=r"did you mean 0\.1\?"):
        split(toy(10), toy(4), 10)


@pytest.mark.parametrize(("n", "fraction"), [(3, 0.1), (3, 0.9)])
def test_refuses_a_fraction_that_leaves_a_part_empty(n, fraction):
    with pytest.raises(ArgumentError, match="leaves a part empty"):
        split(toy(n), toy(4), fraction)


def test_refuses_an_empty_train_set():
    with pytest.raises(DataError, match="toy/train holds no examples"):
        split(toy(0), toy(4), 0)


@pytest.mark.parametrize("other", [toy(4, shape=(1, 2, 3)), Dataset("t", toy(2).inputs, torch.zeros(2).long(), 4)])
def test_refuses_parts_of_different_kinds(other):
    with pytest.raises(DataError, match="differ in shape or classes"):
        Splits(toy(4), None, other, (0.0,), (1.0,))


def test_shuffled_labels_are_the_same_labels_elsewhere_and_only_in_training():
    parts = split(toy(300), toy(30, "toy/test"), 0.2)
    shuffled = with_shuffled_labels(parts, seed=0)
    assert shuffled.train.targets.bincount().tolist() == parts.train.targets.bincount().tolist()
    assert 0.2 < float((shuffled.train.targets == parts.train.targets).double().mean()) < 0.5  # a third by chance
    assert shuffled.train.inputs.equal(parts.train.inputs)
    assert shuffled.train.indices.equal(parts.train.indices)
    assert shuffled.validation is parts.validation
    assert shuffled.test is parts.test
    assert with_shuffled_labels(parts, seed=0).train.targets.equal(shuffled.train.targets)
    assert not with_shuffled_labels(parts, seed=1).train.targets.equal(shuffled.train.targets)
