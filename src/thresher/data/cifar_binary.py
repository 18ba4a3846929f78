"""The binary batches of CIFAR-10 and CIFAR-100: rows of label bytes and 3,072 pixel bytes."""

import numpy as np

from thresher.core.errors import DataError
from thresher.data.content import Arrays, Content

SHAPE = (3, 32, 32)
_PIXELS = 3072


def parse_cifar_binary(content: Content, label_bytes: int) -> Arrays:
    """Images uint8 [N, 3, 32, 32] and labels [N] of one binary batch.

    A row is `label_bytes` labels, of which the last is taken (1 for CIFAR-10; 2 for CIFAR-100: coarse, fine),
    then the red, green and blue planes, each row-major. Raises DataError if the file is empty or no whole
    number of rows. Source: A. Krizhevsky, "The CIFAR-10 dataset", binary version.

    >>> images, labels = parse_cifar_binary(Content("batch.bin", bytes([7] + [0] * 3072)), label_bytes=1)
    >>> images.shape, labels.tolist()
    ((1, 3, 32, 32), [7])
    """
    width = label_bytes + _PIXELS
    size = len(content.data)
    if size == 0 or size % width:
        raise DataError(
            f"{content.origin} holds {size} bytes; expected a multiple of {width} "
            f"({label_bytes} label bytes and {_PIXELS} pixels a row): it is cut short or of another format"
        )
    rows = np.frombuffer(content.data, np.uint8).reshape(-1, width)
    images = rows[:, label_bytes:].copy().reshape(-1, *SHAPE)
    return images, rows[:, label_bytes - 1].astype(np.int64)
