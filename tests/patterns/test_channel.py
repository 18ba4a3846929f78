import numpy as np
import pytest
import torch

from thresher.core.errors import ArgumentError
from thresher.patterns import Block, Channel

SCORES = torch.rand(6, 4, 3, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("axis", [0, 1, -3, -4])
@pytest.mark.parametrize("pool", ["mean", "max"])
def test_whole_channels_by_their_pooled_score(axis, pool):
    scores = SCORES.numpy()
    others = tuple(d for d in range(4) if d != axis % 4)
    per_channel = scores.mean(others) if pool == "mean" else scores.max(others)
    channels = scores.shape[axis]
    size = scores.size // channels
    best = np.argsort(-per_channel)[:2]
    expected = np.zeros(channels, dtype=bool)
    expected[best] = True
    mask = Channel(axis, pool).mask(SCORES, 2 * size).numpy()
    shape = [1] * 4
    shape[axis] = channels
    assert np.array_equal(mask, np.broadcast_to(expected.reshape(shape), mask.shape))


def test_it_is_a_block_as_large_as_the_rest():
    assert torch.equal(Channel().mask(SCORES, 72), Block((1, 4, 3, 3)).mask(SCORES, 72))
    assert torch.equal(Channel(1).pooled(SCORES), Block((6, 1, 3, 3)).pooled(SCORES))


@pytest.mark.parametrize(("kept", "channels"), [(0, 0), (17, 0), (18, 0), (19, 1), (54, 1), (55, 2), (216, 6)])
def test_the_nearest_number_of_channels_the_lower_of_two(kept, channels):
    assert int(Channel().mask(SCORES, kept).sum()) == 36 * channels


def test_an_axis_that_is_not_there():
    with pytest.raises(ArgumentError, match="no axis 2"):
        Channel(2).mask(torch.zeros(3, 3), 3, "fc.weight")
