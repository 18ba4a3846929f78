"""The gather against one image at a time, and the draws against their distribution."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from thresher.core.errors import ArgumentError
from thresher.core.seeds import generator
from thresher.data.augment import Draws, apply, draw, flip_and_shift


def one_at_a_time(images, draws):
    moved = []
    for image, flip, down, right in zip(images, *draws, strict=True):
        flipped = image.flip(-1) if flip else image
        height, width = image.shape[1:]
        padded = functional.pad(flipped, [9] * 4)
        moved.append(padded[:, 9 - int(down) :, 9 - int(right) :][:, :height, :width])
    return torch.stack(moved)


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.integers(1, 6)] * 4), st.integers(0, 9), st.integers(0, 1000))
def test_is_what_a_loop_over_images_does(shape, pixels, seed):
    images = torch.randn(shape, generator=generator(seed, "images"))
    before = images.clone()
    draws = draw(len(images), generator(seed, "draws"), pixels)
    assert apply(images, draws).equal(one_at_a_time(images, draws))
    assert images.equal(before)


def test_moves_down_and_right_and_lets_zeros_in():
    image = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 1, 2, 2)
    moved = apply(image, Draws(torch.tensor([False]), torch.tensor([1]), torch.tensor([-1])))
    assert moved[0, 0].tolist() == [[0, 0], [2, 0]]
    moved = apply(image, Draws(torch.tensor([True]), torch.tensor([0]), torch.tensor([1])))
    assert moved[0, 0].tolist() == [[0, 2], [0, 4]]


def test_draws_are_uniform_and_independent():
    n, pixels = 81_000, 4
    flip, down, right = draw(n, generator(0, "draws"), pixels)
    cells = (flip * 81 + (down + pixels) * 9 + right + pixels).bincount(minlength=162).double()
    chi_square = float(((cells - n / 162) ** 2).sum() / (n / 162))
    # 161 degrees of freedom: mean 161, deviation 17.9; five deviations either way, for a fixed seed
    assert 161 - 90 < chi_square < 161 + 90
    assert cells.numel() == 162


def test_depends_on_its_generator_only():
    images = torch.randn(5, 3, 8, 8, generator=generator(0, "images"))
    torch.manual_seed(1)
    state = torch.get_rng_state()
    once = flip_and_shift(images, generator(0, "a"))
    assert torch.get_rng_state().equal(state)
    assert once.equal(flip_and_shift(images, generator(0, "a")))
    assert not once.equal(flip_and_shift(images, generator(0, "b")))
    assert once.equal(apply(images, draw(5, generator(0, "a"))))


def test_an_empty_batch_stays_empty():
    assert flip_and_shift(torch.empty(0, 3, 8, 8), generator(0, "a")).shape == (0, 3, 8, 8)


def test_refuses_what_are_no_images():
    with pytest.raises(ArgumentError, match=r"\[N, C, H, W\]: got shape \(2, 3\)"):
        flip_and_shift(torch.zeros(2, 3), generator(0, "a"))
    with pytest.raises(ArgumentError, match="pixels is not negative: got -1"):
        flip_and_shift(torch.zeros(1, 1, 2, 2), generator(0, "a"), pixels=-1)
