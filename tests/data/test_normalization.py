"""Moments against exact rational arithmetic and NumPy in float64; scaling against its formula."""

import math
from fractions import Fraction

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from thresher.core.errors import ArgumentError, DataError
from thresher.data import normalization
from thresher.data.normalization import channel_moments, normalize, scale_and_offset


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=4, max_side=4)))
def test_moments_of_bytes_are_those_of_exact_fractions(pixels):
    means, deviations = channel_moments(torch.from_numpy(pixels))
    for channel, (mean, deviation) in enumerate(zip(means, deviations, strict=True)):
        values = [Fraction(int(value), 255) for value in pixels[:, channel].ravel()]
        exact = sum(values) / len(values)
        variance = sum((value - exact) ** 2 for value in values) / len(values)
        assert mean == float(exact)
        assert deviation == pytest.approx(math.sqrt(variance) or 1.0, rel=4e-16)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_moments_taken_in_chunks_are_those_of_the_whole(monkeypatch, dtype):
    draws = torch.Generator().manual_seed(0)
    inputs = torch.randint(0, 256, (37, 2, 5, 3), generator=draws).to(dtype)
    monkeypatch.setattr(normalization, "_CHUNK_ELEMENTS", 100)  # 6 examples a chunk, and one left over
    unit = 255 if dtype is torch.uint8 else 1
    array = inputs.double().numpy() / unit
    means, deviations = channel_moments(inputs)
    np.testing.assert_allclose(means, array.mean((0, 2, 3)), rtol=1e-14)
    np.testing.assert_allclose(deviations, array.std((0, 2, 3)), rtol=1e-14)


def test_a_constant_channel_is_centred_and_not_scaled():
    inputs = torch.full((3, 1, 2), 0.1, dtype=torch.float64)
    mean, deviation = channel_moments(inputs)
    assert (mean, deviation) == ((0.1,), (1.0,))
    assert normalize(inputs, *scale_and_offset(inputs, mean, deviation)).abs().max() < 1e-8


def test_refuses_what_has_no_moments():
    with pytest.raises(DataError, match="no elements"):
        channel_moments(torch.empty(0, 1, 2, 2, dtype=torch.uint8))
    with pytest.raises(DataError, match="channel 1 of the inputs holds a NaN"):
        channel_moments(torch.tensor([[1.0, math.nan]]))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float32, torch.float64])
def test_scaling_follows_its_formula(dtype):
    inputs = torch.arange(2 * 3 * 4 * 10).reshape(2, 3, 4, 10).to(dtype)
    mean, deviation = [0.1, 0.5, -2.0], [0.3, 1.0, 7.0]
    before = inputs.clone()
    scaled = normalize(inputs, *scale_and_offset(inputs, mean, deviation))
    array = inputs.double().numpy() / (255 if dtype is torch.uint8 else 1)
    expected = (array - np.reshape(mean, (3, 1, 1))) / np.reshape(deviation, (3, 1, 1))
    assert scaled.dtype is torch.float32
    np.testing.assert_allclose(scaled, expected, rtol=1e-6, atol=1e-6)
    assert inputs.equal(before)


@pytest.mark.parametrize(
    ("mean", "std"),
    [([0.0], [1.0, 1.0]), ([0.0] * 3, [1.0] * 3), ([0.0] * 2, [1.0, 0.0]), ([math.nan, 0.0], [1.0] * 2)],
)
def test_refuses_statistics_that_do_not_fit(mean, std):
    with pytest.raises(ArgumentError):
        scale_and_offset(torch.zeros(1, 2, 1, 1), mean, std)


def test_statistics_of_the_real_mnist_are_the_published_ones(shared_data):
    from thresher.data import load

    splits = load("mnist", shared_data, validation=0)
    # 0.1307 and 0.3081 are the constants in every MNIST example
    assert [round(value, 4) for value in (*splits.mean, *splits.std)] == [0.1307, 0.3081]
    assert splits.train.targets.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
