import numpy as np
import pytest
import torch

from thresher.models.shortcut import zero_padded


@pytest.mark.parametrize(("stride", "new"), [(1, 2), (2, 3), (2, 0)])
def test_against_numpy(stride, new):
    images = np.arange(2 * 3 * 5 * 4, dtype=np.float64).reshape(2, 3, 5, 4) + 1.0
    expected = np.zeros((2, 3 + new, -(-5 // stride), -(-4 // stride)))
    for i in range(expected.shape[2]):
        for j in range(expected.shape[3]):
            expected[:, :3, i, j] = images[:, :, stride * i, stride * j]
    np.testing.assert_array_equal(zero_padded(torch.from_numpy(images), stride, new).numpy(), expected)
