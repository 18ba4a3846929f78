"""Published files in miniature, and the real ones where they are kept beside the repository."""

import gzip
import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from thresher.data import DATASETS
from thresher.data.tiny_imagenet import tiny_imagenet

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


@pytest.fixture(scope="session")
def jpeg_bytes():
    """A JPEG as Pillow writes it: `pixels` are uint8 [H, W], grey, or [H, W, 3]."""
    pillow = pytest.importorskip("PIL.Image")

    def encode(pixels):
        file = io.BytesIO()
        pillow.fromarray(pixels).save(file, "JPEG", quality=100, subsampling=0)
        return file.getvalue()

    return encode


TINY_CLASSES = ("n00000002", "n00000010", "n00000001")  # in the order of wnids.txt


@pytest.fixture(scope="session")
def tiny_pictures():
    """12 train images of each class and 5 test images by name, uint8 [64, 64, 3]: four flat quarters.

    So blocks are flat too, and what a JPEG loses is rounding. The eleventh image of each class is grey.
    """
    draws = np.random.default_rng(9)
    names = [f"train/{name}/images/{name}_{k}.JPEG" for name in TINY_CLASSES for k in range(12)]
    pictures = {}
    for name in [*names, *(f"val/images/val_{k}.JPEG" for k in range(5))]:
        quarters = draws.integers(0, 256, (2, 2, 3), np.uint8)
        if name.endswith("_10.JPEG"):
            quarters[:] = quarters[:, :, :1]
        pictures[name] = quarters.repeat(32, 0).repeat(32, 1)
    return pictures


@pytest.fixture(scope="session")
def tiny_files(jpeg_bytes, tiny_pictures):
    """Tiny-ImageNet in miniature, as published: bytes by name below tiny-imagenet-200."""
    files = {
        name: jpeg_bytes(picture[:, :, 0] if name.endswith("_10.JPEG") else picture)
        for name, picture in tiny_pictures.items()
    }
    classes = [TINY_CLASSES[k] for k in (0, 2, 1, 1, 0)]
    # in no order
    lines = [f"val_{k}.JPEG\t{classes[k]}\t0\t32\t44\t62\n" for k in (3, 0, 4, 1, 2)]
    files["val/val_annotations.txt"] = "".join(lines).encode()
    files["wnids.txt"] = "".join(f"{name}\n" for name in TINY_CLASSES).encode()
    files["words.txt"] = b"n00000001\tgoldfish\n"
    return files


@pytest.fixture(scope="session")
def zip_bytes():
    def pack(files, inside="tiny-imagenet-200"):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{inside}/", b"")
            for name, data in files.items():
                archive.writestr(f"{inside}/{name}", data)
        return file.getvalue()

    return pack


@pytest.fixture
def tiny_row(monkeypatch):
    """The row of the data set for the miniature; everything else about it is as published."""
    source = tiny_imagenet(num_classes=3, num_train=12, num_test=5)
    monkeypatch.setitem(DATASETS, "tiny-imagenet", source)
    return source
