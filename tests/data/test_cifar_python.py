"""CIFAR's pickles: read as Python 2 wrote them, and harmless whatever they ask for."""

import os
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.core.errors import DataError
from thresher.data.cifar_python import parse_cifar_python
from thresher.data.content import Content


def python_2_batch(rows, labels):
    """The opcodes Python 2's cPickle wrote, protocol 2, assembled by hand."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    pixels = rows.tobytes()
    return b"".join(
        [
            b"\x80\x02}q\x01(" + text(b"batch_label") + text(b"training batch 1 of 5"),
            text(b"labels") + b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e",
            text(b"data") + b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R",
            b"(K\x01M" + struct.pack("<H", len(rows)) + b"M\x00\x0c\x86",
            b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R(K\x03" + text(b"|") + b"NNN",
            b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89",
            b"T" + struct.pack("<I", len(pixels)) + pixels + b"tb",
            b"u.",
        ]
    )


def parse(data, key="labels"):
    return parse_cifar_python(Content("data_batch_1", data), key)


def batch(**replaced):
    whole = {b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 2]}
    return pickle.dumps(whole | {key.encode(): value for key, value in replaced.items()}, protocol=2)


def test_reads_what_python_2_wrote(cifar_rows):
    pixels, labels = cifar_rows[:, 2:], cifar_rows[:, 1].tolist()
    data = python_2_batch(pixels, labels)
    # NumPy's own unpickling, which trusts the file, is the oracle
    oracle = pickle.loads(data, encoding="bytes")
    images, read = parse(data)
    np.testing.assert_array_equal(images, oracle[b"data"].reshape(-1, 3, 32, 32))
    np.testing.assert_array_equal(images, pixels.reshape(-1, 3, 32, 32))
    assert read.tolist() == oracle[b"labels"] == labels
    assert read.dtype == np.int64


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("kind", [str, str.encode])
def test_reads_what_python_3_wrote(cifar_rows, protocol, kind):
    whole = {kind("data"): np.ascontiguousarray(cifar_rows[:, 2:]), kind("fine_labels"): [7] * 23}
    images, labels = parse(pickle.dumps(whole, protocol=protocol), "fine_labels")
    np.testing.assert_array_equal(images.reshape(23, -1), cifar_rows[:, 2:])
    assert labels.tolist() == [7] * 23
    images[0] = 0  # PyTorch wants memory it may write


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("where", ["data", "labels", "more"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_runs_nothing(tmp_path, where, protocol):
    marker = tmp_path / "executed"
    evil = {b"data": np.zeros((1, 3072), np.uint8), b"labels": [0]} | {where.encode(): Evil(os.mkdir, str(marker))}
    data = pickle.dumps(evil, protocol=protocol)
    pickle.loads(data)
    assert marker.is_dir()  # it would have worked
    marker.rmdir()
    with pytest.raises(
        DataError, match=r"data_batch_1 is not a CIFAR python batch: it (asks for|uses) .*nothing in it was run"
    ):
        parse(data)
    assert not marker.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"cbuiltins\neval\nU\x031/0\x85R.",
        b"cnumpy\nload\nU\x01x\x85R.",
        b"cnumpy.core.multiarray\nscalar\n.",
        b"cthresher.data.cifar_python\n_STAND_INS\n.",
        b"\x82\x01.",  # a registered extension code
        b"Pid\n.",  # a persistent id
        b"c_codecs\nencode\nK\x01K\x02\x86R.",  # allowed, but called with nonsense
        b"",
        b"\x80\x02}",
        b"garbage that is no pickle",
    ],
)
def test_refuses_any_other_pickle(data):
    with pytest.raises(DataError, match="data_batch_1 is not a CIFAR python batch"):
        parse(data)


def test_reserves_no_memory_that_the_file_does_not_fill():
    with pytest.raises(DataError, match="it numbers an object 2147483647, of fewer than 7"):
        parse(b"}r\xff\xff\xff\x7f.")  # 32 GiB, to remember an empty dict
    with pytest.raises(DataError, match="expected 4294967296 bytes in a bytearray8, but only 1 remain"):
        parse(b"\x96\0\0\0\0\1\0\0\0.")
    with pytest.raises(DataError, match="it uses the instruction BYTEARRAY8"):
        parse(b"\x96\1\0\0\0\0\0\0\0x.")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pickle.dumps([1, 2], protocol=2), "holds a list; expected a dict"),
        (batch(data=np.zeros((2, 3072), np.int16)), "not a whole uint8 array"),
        (batch(data=np.zeros((2, 3072), np.int8)), "not a whole uint8 array"),
        (batch(data=np.zeros((2, 3071), np.uint8)), "not a whole uint8 array"),
        (batch(data=np.zeros(3072, np.uint8)), "not a whole uint8 array"),
        (batch(data=np.asfortranarray(np.zeros((2, 3072), np.uint8))), "not a whole uint8 array"),
        (batch(data=np.array([None, {}])), "not a whole uint8 array"),
        (batch(data=b"pixels"), "not a whole uint8 array"),
        (batch(labels=[1]), "holds 2 images but 1 labels"),
        (batch(labels=[1, "2"]), "labels is not a list of integers"),
        (batch(labels=[1, True]), "labels is not a list of integers"),
        (batch(labels=None), "labels is not a list of integers"),
        (batch(labels=[1, 2**70]), "outside of what a class number can be"),
        (batch(labels=[-1, 2]), "outside of what a class number can be"),
    ],
)
def test_names_what_is_wrong_in_a_batch(data, message):
    with pytest.raises(DataError, match=message):
        parse(data)


@pytest.mark.parametrize("claimed", [b"M\x18\x00M\x00\x0c\x86", b"M\x17\x00M\xff\x0b\x86", b"M\x17\x00K\x03\x86"])
def test_refuses_an_array_whose_shape_disagrees_with_its_bytes(cifar_rows, claimed):
    data = python_2_batch(cifar_rows[:, 2:], [0] * 23)
    lying = data.replace(b"M\x17\x00M\x00\x0c\x86", claimed)
    assert lying != data
    with pytest.raises(DataError, match="not a whole uint8 array"):
        parse(lying)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_batch_is_a_data_error_or_readable(draw):
    data = bytearray(batch(data=np.zeros((1, 3072), np.uint8), labels=[3]))
    data = bytearray(data.replace(b"\0" * 8, b""))  # fewer pixels, so that damage hits the structure
    for _ in range(draw.draw(st.integers(1, 3))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    with pytest.raises(DataError):
        parse(bytes(data))
