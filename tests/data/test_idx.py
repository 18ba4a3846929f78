"""The IDX reader against a writer after the format's description, and against every kind of damage."""

import gzip
import struct

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.core.errors import DataError
from thresher.data import read_idx
from thresher.data.content import Content
from thresher.data.idx import parse_idx

DTYPES = [np.uint8, np.int8, np.int16, np.int32, np.float32, np.float64]
SHAPES = arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(DTYPES).flatmap(lambda dtype: arrays.arrays(dtype, SHAPES)), st.booleans())
def test_gives_back_what_was_written(idx_bytes, array, zipped):
    data = idx_bytes(array)
    if zipped:
        data = gzip.decompress(gzip.compress(data))
    read = parse_idx(Content("file", data))
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    assert read.shape == array.shape
    assert read.tobytes() == array.tobytes()


@pytest.mark.parametrize(("name", "zipped"), [("labels.gz", False), ("labels", True), ("labels.gz", True)])
def test_tells_gzip_by_content_not_by_name(tmp_path, idx_bytes, name, zipped):
    data = idx_bytes(np.array([3, 1, 4], np.uint8))
    (tmp_path / name).write_bytes(gzip.compress(data) if zipped else data)
    assert read_idx(tmp_path / name).tolist() == [3, 1, 4]


@pytest.mark.parametrize(
    ("magic", "found"),
    [(b"\x89PNG", "89 50 4e 47"), (b"\0\0\x0a\x01", "00 00 0a 01"), (b"\1\0\x08\x01", "01 00 08 01"), (b"", "nothing")],
)
def test_names_a_wrong_beginning(tmp_path, magic, found):
    (tmp_path / "images").write_bytes(magic)
    with pytest.raises(DataError, match=f"images is not IDX: it begins with {found}; expected 00 00"):
        read_idx(tmp_path / "images")


def test_refuses_every_truncation_and_any_trailing_byte(idx_bytes):
    data = idx_bytes(np.arange(6, dtype=np.int16).reshape(2, 3))
    for length in range(len(data)):
        with pytest.raises(DataError, match=r"cut short|not IDX"):
            parse_idx(Content("file", data[:length]))
    with pytest.raises(DataError, match="11 bytes, but the header of rank 2 has 12"):
        parse_idx(Content("file", data[:11]))
    with pytest.raises(DataError, match=f"trailing bytes: {len(data) + 1} bytes found, {len(data)} expected"):
        parse_idx(Content("file", data + b"\0"))


@pytest.mark.parametrize(
    "header",
    [
        struct.pack(">HBB4I", 0, 0x0E, 4, *[2**32 - 1] * 4),  # more bytes than 64 bits can count
        struct.pack(">HBB4I", 0, 0x0E, 4, 0, *[2**32 - 1] * 3),  # empty, but of a shape NumPy cannot hold
        struct.pack(">HBB200I", 0, 0x08, 200, *[1] * 200) + b"\0",  # more dimensions than NumPy has
    ],
)
def test_refuses_a_lying_header(header):
    with pytest.raises(DataError):
        parse_idx(Content("file", header))


def test_refuses_a_damaged_gzip_stream(tmp_path, idx_bytes):
    whole = gzip.compress(idx_bytes(np.random.default_rng(0).integers(0, 256, 500, np.uint8)))
    flipped = bytearray(whole)
    flipped[200] ^= 0x10
    no_deflate = whole[:10] + b"\x07" + whole[11:]  # a block type that does not exist
    for damaged in (whole[:-9], whole[:5], bytes(flipped), no_deflate, whole + b"junk"):
        (tmp_path / "labels.gz").write_bytes(damaged)
        with pytest.raises(DataError, match=r"labels.gz is a damaged gzip stream .*: delete it"):
            read_idx(tmp_path / "labels.gz")


def test_says_which_file_is_absent(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*nowhere: No such file"):
        read_idx(tmp_path / "nowhere")


def test_reads_the_real_mnist(shared_data):
    images = read_idx(shared_data / "mnist" / "t10k-images-idx3-ubyte.gz")
    labels = read_idx(shared_data / "mnist" / "t10k-labels-idx1-ubyte.gz")
    with gzip.open(shared_data / "mnist" / "t10k-images-idx3-ubyte.gz") as file:
        assert images.tobytes() == file.read()[16:]
    assert images.shape == (10000, 28, 28)
    # class counts as LeCun et al. published them
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
