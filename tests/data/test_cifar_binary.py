"""CIFAR's binary rows, pixel by pixel."""

import numpy as np
import pytest

from thresher.core.errors import DataError
from thresher.data.cifar_binary import parse_cifar_binary
from thresher.data.content import Content


@pytest.mark.parametrize("label_bytes", [1, 2])
def test_places_every_byte_as_published(cifar_rows, label_bytes):
    rows = cifar_rows[:, 2 - label_bytes :]
    images, labels = parse_cifar_binary(Content("batch", rows.tobytes()), label_bytes)
    assert images.shape == (23, 3, 32, 32)
    assert images.dtype == np.uint8
    assert labels.tolist() == cifar_rows[:, 1].tolist()
    for n, channel, row, column in [(0, 0, 0, 0), (3, 0, 31, 31), (7, 1, 0, 5), (22, 2, 17, 4)]:
        assert images[n, channel, row, column] == rows[n][label_bytes + 1024 * channel + 32 * row + column]


@pytest.mark.parametrize("size", [0, 1, 3072, 3074, 2 * 3073 - 1])
def test_refuses_what_is_no_whole_number_of_rows(size):
    with pytest.raises(DataError, match=rf"batch holds {size} bytes; expected a multiple of 3073"):
        parse_cifar_binary(Content("batch", bytes(size)), 1)
