"""The pickled batches of CIFAR-10 and CIFAR-100, read without running anything they name."""

import io
import pickle
import pickletools
from typing import Any

import numpy as np

from thresher.core.errors import DataError
from thresher.data.cifar_binary import SHAPE
from thresher.data.content import Arrays, Content


class _DType:
    """Stands for numpy.dtype: remembers the code it was called with."""

    def __init__(self, code: object = None, align: object = None, copy: object = None) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Byte order, alignment and flags: nothing that matters for bytes."""


class _Array:
    """Stands for numpy.ndarray: remembers the state it was given."""

    state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


def _reconstruct(kind: object, shape: object, typecode: object) -> _Array:
    return _Array()


def _encode(text: str, encoding: str) -> bytes:
    # how Python 3 writes bytes in protocol 2
    return text.encode("latin1")


# A pickle is a program that calls what it names. It may name only these, and none is the real thing: plain
# Python that stores its arguments, so that not even NumPy's own code meets unchecked values.
_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encode,
}


# The instructions that a dict of lists, bytes and arrays takes. Others could, before anything is named, make
# the interpreter reserve memory by the gigabyte for a file of thirty bytes.
_OPCODES = (
    "PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 SHORT_BINSTRING BINSTRING "
    "SHORT_BINBYTES BINBYTES SHORT_BINUNICODE BINUNICODE EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS "
    "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 GLOBAL STACK_GLOBAL REDUCE BUILD BINPUT LONG_BINPUT BINGET "
    "LONG_BINGET MEMOIZE"
)


def _check_instructions(data: bytes) -> None:
    allowed = frozenset(_OPCODES.split())
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name not in allowed:
            raise pickle.UnpicklingError(f"it uses the instruction {opcode.name}")
        if opcode.name == "LONG_BINPUT" and int(argument or 0) > len(data):
            raise pickle.UnpicklingError(f"it numbers an object {argument}, of fewer than {len(data)}")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _STAND_INS[module, name]


def parse_cifar_python(content: Content, labels_key: str) -> Arrays:
    """Images uint8 [N, 3, 32, 32] and labels [N] of one pickled batch; nothing in it is executed.

    `labels_key` is "labels" for CIFAR-10 and "fine_labels" for CIFAR-100. The batch is a dict with those and
    "data", uint8 [N, 3072] (red, green, blue planes, row-major); anything else a pickle can name or build
    is refused. Raises DataError with what was found. Source: A. Krizhevsky, "The CIFAR-10 dataset", python version.
    """
    try:
        _check_instructions(content.data)
        batch = _Unpickler(io.BytesIO(content.data), encoding="bytes").load()
    except Exception as error:  # a malformed pickle may raise anything
        raise DataError(
            f"{content.origin} is not a CIFAR python batch: {error or type(error).__name__}; nothing in it was run"
        ) from error
    if not isinstance(batch, dict):
        raise DataError(f"{content.origin} holds a {type(batch).__name__}; expected a dict with data and {labels_key}")
    pixels, labels = _entry(batch, "data"), _entry(batch, labels_key)
    images = _images(pixels, content.origin)
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise DataError(f"{content.origin}: {labels_key} is not a list of integers")
    if len(labels) != len(images):
        raise DataError(f"{content.origin} holds {len(images)} images but {len(labels)} {labels_key}")
    if any(not 0 <= label < 2**31 for label in labels):
        raise DataError(f"{content.origin}: {labels_key} holds a label outside of what a class number can be")
    return images, np.array(labels, np.int64)


def _entry(batch: dict[Any, Any], key: str) -> object:
    # published by Python 2, whose strings arrive as bytes; a batch pickled again by Python 3 has either
    return batch.get(key.encode(), batch.get(key))


def _images(pixels: object, origin: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    match pixels:
        case _Array(state=(_, (int(n), 3072), _DType(code=b"u1" | "u1"), False, bytes(data))) if n * 3072 == len(data):
            # a copy, for PyTorch wants memory it may write
            return np.frombuffer(data, np.uint8).copy().reshape(n, *SHAPE)
    raise DataError(f"{origin}: data is not a whole uint8 array [N, 3072] in row-major order")
