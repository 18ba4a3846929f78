"""Batches: every example once, where it came from, in the right scale, and nothing in the data set disturbed."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.core import listen, read_batches
from thresher.core.errors import ArgumentError
from thresher.core.seeds import generator
from thresher.data import Batches, Dataset, Splits
from thresher.data.augment import flip_and_shift

STATISTICS = ([0.2, 0.4, 0.6], [0.5, 0.25, 2.0])


def toy(n, dtype=torch.uint8):
    inputs = torch.randint(0, 256, (n, 3, 6, 5), generator=generator(n, "toy")).to(dtype)
    return Dataset("toy/train", inputs, torch.arange(n) % 7, 7, indices=torch.arange(n) * 2 + 100)


def expected(data, indices):
    pixels = data.inputs[(indices - 100) // 2].double().numpy() / (255 if data.inputs.dtype is torch.uint8 else 1)
    mean, std = (np.reshape(part, (3, 1, 1)) for part in STATISTICS)
    return (pixels - mean) / std


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 20), st.integers(1, 25), st.booleans())
def test_a_pass_holds_every_example_once(n, batch_size, shuffled):
    data = toy(n)
    batches = Batches(data, STATISTICS, batch_size, generator=generator(0, "order") if shuffled else None)
    read = list(batches)
    assert len(read) == len(batches) == -(-n // batch_size)
    assert [len(batch[1]) for batch in read[:-1]] == [batch_size] * (len(read) - 1)
    seen = [index for batch in read for index in batch.indices.tolist()]
    assert sorted(seen) == data.indices.tolist()
    assert shuffled or seen == data.indices.tolist()


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_each_example_comes_normalised_with_its_own_label_and_index(dtype, shuffled):
    data = toy(11, dtype)
    for batch in Batches(data, STATISTICS, 4, generator=generator(0, "order") if shuffled else None):
        inputs, targets = batch
        assert inputs.dtype is torch.float32
        np.testing.assert_allclose(inputs, expected(data, batch.indices), rtol=1e-5, atol=1e-5)
        assert targets.equal(data.targets[(batch.indices - 100) // 2])
        assert batch.source == "toy/train"


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("shuffled", [False, True])
def test_writing_into_a_batch_leaves_the_data_set_alone(dtype, shuffled):
    data, twin = toy(6, dtype), toy(6, dtype)
    for batch in Batches(data, STATISTICS, 4, generator=generator(0, "order") if shuffled else None):
        inputs, targets = batch
        inputs.zero_(), targets.zero_(), batch.indices.zero_()
    assert data.inputs.equal(twin.inputs)
    assert data.targets.equal(twin.targets)
    assert data.indices.equal(twin.indices)


def test_each_pass_draws_another_order_and_the_first_is_reproducible():
    batches = Batches(toy(30), STATISTICS, 30, generator=generator(0, "order"))
    first, second = (next(iter(batches)).indices for _ in range(2))
    assert not first.equal(second)
    assert first.equal(next(iter(Batches(toy(30), STATISTICS, 30, generator=generator(0, "order")))).indices)


def test_augments_the_normalised_images():
    plain = next(iter(Batches(toy(9), STATISTICS, 9)))[0]
    moved = next(iter(Batches(toy(9), STATISTICS, 9, augment=generator(0, "augment"))))[0]
    assert moved.equal(flip_and_shift(plain, generator(0, "augment")))
    assert not moved.equal(plain)


def test_takes_the_statistics_of_splits():
    splits = Splits(toy(5), None, toy(5), (0.2, 0.4, 0.6), (0.5, 0.25, 2.0))
    inputs = next(iter(Batches(splits.test, splits, 5)))[0]
    assert inputs.equal(next(iter(Batches(toy(5), STATISTICS, 5)))[0])


def test_reading_reports_which_examples_were_read():
    batches = Batches(toy(5), STATISTICS, 3)
    with listen() as touches:
        assert [len(batch[1]) for batch in batches] == [3, 2]
        assert touches == []
        list(read_batches(batches, "snip", torch.device("cpu")))
    assert [(touch.dataset, touch.purpose, touch.indices.tolist()) for touch in touches] == [
        ("toy/train", "snip", [100, 102, 104]),
        ("toy/train", "snip", [106, 108]),
    ]


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True, None])
def test_refuses_what_is_no_batch_size(batch_size):
    with pytest.raises(ArgumentError, match="batch_size is an integer from 1: got"):
        Batches(toy(5), STATISTICS, batch_size)


def test_refuses_statistics_of_other_channels():
    with pytest.raises(ArgumentError, match="inputs have 3 channels: got 1 means and 1 deviations"):
        Batches(toy(5), ([0.0], [1.0]), 2)
