"""Published files in miniature, and the real ones where they are kept beside the repository."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

MNIST_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@pytest.fixture(scope="session")
def shared_data():
    folder = Path(__file__).resolve().parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data sets are not kept beside this checkout")
    return folder


@pytest.fixture(scope="session")
def idx_bytes():
    """An IDX writer after the format's description, not after the reader."""
    codes = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}

    def encode(array):
        code = codes[f"{array.dtype.kind}{array.dtype.itemsize}"]
        header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
        return header + array.astype(array.dtype.newbyteorder(">")).tobytes()

    return encode


@pytest.fixture(scope="session")
def mnist_arrays():
    """Four arrays as MNIST has them, of 12 and 6 tiny images; no label order that was ever published."""
    draws = np.random.default_rng(3)
    return {
        MNIST_NAMES[0]: draws.integers(0, 256, (12, 3, 2), np.uint8),
        MNIST_NAMES[1]: (np.arange(12) % 10).astype(np.uint8),
        MNIST_NAMES[2]: draws.integers(0, 256, (6, 3, 2), np.uint8),
        MNIST_NAMES[3]: np.array([9, 8, 7, 3, 2, 1], np.uint8),
    }


@pytest.fixture
def write_mnist(idx_bytes, mnist_arrays):
    def write(folder, zipped=False, **replaced):
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in mnist_arrays.items():
            data = idx_bytes(replaced.get(name.split("-idx")[0].replace("-", "_"), array))
            (folder / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(data) if zipped else data)
        return folder

    return write


@pytest.fixture(scope="session")
def cifar_rows():
    """Rows of two labels and 3,072 pixels: 4 for each of five train batches and 3 for the test."""
    draws = np.random.default_rng(5)
    rows = draws.integers(0, 256, (23, 3074), np.uint8)
    rows[:, 0], rows[:, 1] = np.arange(23) % 20, np.arange(23) % 10
    return rows
