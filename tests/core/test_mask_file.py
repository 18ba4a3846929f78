import json
import struct
import zlib

import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given
from hypothesis import strategies as st

from thresher.core import Mask
from thresher.core.errors import FileFormatError

BITS = [1, 0, 0, 1, 1, 1, 0, 1, 0, 1, 1]  # eleven: one whole byte and three bits of another, the last one set


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "mask.safetensors"
    Mask({"fc.weight": torch.tensor(BITS, dtype=torch.bool), "bias": torch.tensor(True)}).save(path)
    return path


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("masks") / "mask.safetensors"


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=8).filter(lambda name: name != "__metadata__"),
        st.tuples(st.lists(st.integers(0, 5), max_size=4), st.integers(0, 2**32 - 1)),
        max_size=4,
    )
)
def test_what_is_saved_is_loaded(scratch, drawn):
    arrays = {n: np.random.default_rng(seed).random(shape) < 0.5 for n, (shape, seed) in drawn.items()}
    mask = Mask({name: torch.from_numpy(np.asarray(array)) for name, array in arrays.items()})
    mask.save(scratch)
    loaded = Mask.load(scratch)
    assert loaded == mask
    assert list(loaded) == list(mask)
    for name, array in arrays.items():
        assert loaded[name].numpy().tolist() == array.tolist()


def test_a_strided_view_is_saved_as_what_it_shows(tmp_path):
    view = (torch.arange(24).reshape(4, 6) % 3 == 0).t()[::2]
    Mask({"a": view}).save(tmp_path / "m")
    assert Mask.load(tmp_path / "m")["a"].tolist() == view.tolist()


def test_the_file_holds_one_bit_a_weight_first_weight_highest(path):
    stored = safetensors.numpy.load_file(path)
    assert stored["fc.weight"].tolist() == [0b10011101, 0b01100000]
    assert stored["bias"].tolist() == [0b10000000]


def test_every_truncation_is_an_error(path):
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(FileFormatError, match="cut short or corrupted"):
            Mask.load(path)


@pytest.mark.parametrize("more", [b"\0", b"\0" * 64])
def test_bytes_after_the_end_are_an_error(path, more):
    path.write_bytes(path.read_bytes() + more)
    with pytest.raises(FileFormatError, match="cut short or corrupted"):
        Mask.load(path)


def test_a_flipped_byte_never_gets_past_as_another_kind_of_error(path):
    content = path.read_bytes()
    original = Mask.load(path)
    data = len(content) - 3  # two bytes of one tensor and one of the other: flips there are other masks
    for position in range(data):
        for flip in (0x01, 0x80):
            damaged = bytearray(content)
            damaged[position] ^= flip
            path.write_bytes(damaged)
            try:
                mask = Mask.load(path)
            except FileFormatError:
                continue
            assert sorted(mask.counts.values()) == sorted(original.counts.values())


def rewritten(path, shapes=None, arrays=None, format="thresher-mask-1"):
    """The file at `path` with parts of what it says replaced."""
    arrays = safetensors.numpy.load_file(path) if arrays is None else arrays
    shapes = json.dumps({"fc.weight": [11], "bias": []}) if shapes is None else shapes
    sums = json.dumps({name: zlib.crc32(array.tobytes()) for name, array in arrays.items()})
    said = f'{{"shapes": {shapes}, "crc32": {sums}}}'
    safetensors.numpy.save_file(arrays, path, None if format is None else {format: said})


def test_the_rewritten_file_is_whole_where_nothing_is_replaced(path):
    before = Mask.load(path)
    rewritten(path)
    assert Mask.load(path) == before


@pytest.mark.parametrize(
    "shapes",
    [
        '{"fc.weight": [17], "bias": []}',
        '{"fc.weight": [8], "bias": []}',
        '{"fc.weight": [-1, -11], "bias": []}',
        '{"fc.weight": [11.0], "bias": []}',
        '{"fc.weight": "11", "bias": []}',
        '{"fc.weight": 11, "bias": []}',
        '{"fc.weight": null, "bias": []}',
        '{"fc.weight": [11], "bias": [], "conv.weight": [3]}',
        '{"fc.weight": [11]}',
        "{}",
        "[11]",
        "null",
        '{"fc.weight": [11',
        "[" * 100_000,
    ],
    ids=lambda shapes: shapes[:24],
)
def test_shapes_that_do_not_fit_the_tensors_are_an_error(path, shapes):
    rewritten(path, shapes)
    with pytest.raises(FileFormatError, match="mask"):
        Mask.load(path)


@pytest.mark.parametrize("wrong", [np.zeros(2, np.int8), np.zeros((2, 1), np.uint8), np.zeros(3, np.uint8)])
def test_bits_of_another_kind_are_an_error(path, wrong):
    rewritten(path, arrays={"fc.weight": wrong, "bias": np.zeros(1, np.uint8)})
    with pytest.raises(FileFormatError, match=r"fc\.weight holds"):
        Mask.load(path)


def test_a_bit_beyond_the_last_weight_is_an_error(path):
    rewritten(path, arrays={"fc.weight": np.array([157, 112], np.uint8), "bias": np.array([128], np.uint8)})
    with pytest.raises(FileFormatError, match=r"fc\.weight holds bits beyond the 11 weights"):
        Mask.load(path)


@pytest.mark.parametrize("other", [None, "pt", "thresher-mask-2"])
def test_another_safetensors_file_is_named_as_such(path, other):
    rewritten(path, format=other)
    with pytest.raises(FileFormatError, match=r"safetensors file but no mask.*written by Mask\.save"):
        Mask.load(path)


def test_equal_masks_are_equal_files(path):
    mask = Mask.load(path)
    for _ in range(8):
        mask.save(path.with_name("again"))
        assert path.with_name("again").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("content", [b"", b"PK\3\4" * 20, struct.pack("<Q", 2**62) + b"{}"])
def test_a_file_of_another_kind_is_an_error(path, content):
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="not a readable mask file"):
        Mask.load(path)


def test_a_pickle_is_not_opened(path):
    torch.save({"fc.weight": torch.ones(3, dtype=torch.bool)}, path)
    with pytest.raises(FileFormatError, match="not a readable mask file"):
        Mask.load(path)


def test_an_absent_file_and_a_folder_are_errors(tmp_path):
    with pytest.raises(FileFormatError, match=r"no mask file at .*absent"):
        Mask.load(tmp_path / "absent")
    with pytest.raises(FileFormatError, match="not a readable mask file"):
        Mask.load(tmp_path)
