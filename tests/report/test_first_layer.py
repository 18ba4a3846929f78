import base64
import io
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import image as images

from thresher.core import generator
from thresher.report.first_layer import first_layer_map, kept_per_input, kernel_grid


def drawn(shape, seed=0):
    return torch.rand(shape, generator=generator(seed, "test")) < 0.4


def pictures(svg):
    """The raster images in an SVG, in order: the picture, then its colour bar."""
    return [
        images.imread(io.BytesIO(base64.b64decode(data)))
        for data in re.findall(r'href="data:image/png;base64,([^"]+)"', svg)
    ]


@given(st.integers(1, 6), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_connections_per_input_are_counted_one_by_one(units, channels, height, width, seed):
    mask = drawn((units, channels * height * width), seed)
    expected = np.zeros((height, width))
    for unit in range(units):
        for channel in range(channels):
            for y in range(height):
                for x in range(width):
                    expected[y, x] += bool(mask[unit, (channel * height + y) * width + x]) / channels
    np.testing.assert_allclose(kept_per_input(mask, (channels, height, width)), expected, rtol=1e-12)


@pytest.mark.parametrize("shape", [(784,), (28, 28), (1, 28, 28)])
def test_inputs_without_channels_are_pictures_too(shape):
    mask = drawn((5, 784))
    picture = kept_per_input(mask, shape)
    assert picture.shape == {1: (1, 784)}.get(len(shape), (28, 28))
    assert picture.sum() == int(mask.sum())


@given(st.integers(1, 20), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_kernels_lie_in_reading_order_with_gaps_between(number, channels, height, width, seed):
    mask = drawn((number, channels, height, width), seed)
    grid = kernel_grid(mask)
    columns = (grid.shape[1] + 1) // (width + 1)
    cells = np.isfinite(grid)
    assert cells.sum() == number * height * width
    for index in range(number):
        top, left = index // columns * (height + 1), index % columns * (width + 1)
        tile = grid[top : top + height, left : left + width]
        np.testing.assert_array_equal(tile, mask[index].numpy().astype(int).sum(0))


def test_a_kernel_of_one_dimension_is_one_row():
    grid = kernel_grid(drawn((3, 2, 5)))
    assert np.isfinite(grid).sum() == 15


def test_the_image_holds_one_pixel_per_input_and_lightness_rises_with_the_count():
    mask = drawn((40, 784))
    svg, caption = first_layer_map(mask, (1, 28, 28))
    picture = pictures(svg)[0][..., :3]
    assert picture.shape == (28, 28, 3)
    lightness = picture @ np.array([0.2126, 0.7152, 0.0722])
    counts = kept_per_input(mask, (1, 28, 28))
    lightest = [lightness[counts == count].mean() for count in np.unique(counts)]
    assert np.all(np.diff(lightest) > 0)
    assert caption == "Kept connections per input position, summed over 40 units."


def test_an_image_of_kernels_is_transparent_between_them():
    mask = drawn((6, 3, 5, 5))
    svg, caption = first_layer_map(mask, (3, 32, 32))
    alpha = pictures(svg)[0][..., 3]
    np.testing.assert_array_equal(alpha > 0, np.isfinite(kernel_grid(mask)))
    assert caption.startswith("6 kernels side by side")
    assert "of 3" in caption


def test_means_over_channels_are_called_that():
    assert "mean of 3 channels" in first_layer_map(drawn((4, 12)), (3, 2, 2))[1]


@pytest.mark.parametrize(
    ("shape", "inputs"), [((4, 12), (5, 5)), ((4, 0), (0,)), ((2, 2, 3, 3, 3), (2, 8, 8, 8)), ((4, 12), (2, 3, 2, 1))]
)
def test_what_makes_no_image_is_refused(shape, inputs):
    assert first_layer_map(torch.zeros(shape, dtype=torch.bool), inputs) is None


def test_a_mask_that_keeps_nothing_is_an_image_of_zeros():
    svg, _ = first_layer_map(torch.zeros(4, 9, dtype=torch.bool), (3, 3))
    assert len(np.unique(pictures(svg)[0].reshape(9, -1), axis=0)) == 1
    assert "from 0 to 0" in svg
