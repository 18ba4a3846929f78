"""The IDX format of MNIST: typed arrays of any rank, big-endian, usually gzipped."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thresher.core.errors import DataError
from thresher.data.content import Content, read_content

_DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(np.uint8),
    0x09: np.dtype(np.int8),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}


def read_idx(path: Path | str) -> NDArray[Any]:
    """The array in the IDX file at `path`, plain or gzipped (told by content), in native byte order.

    The format: two zero bytes, a type code (0x08 uint8, 0x09 int8, 0x0B int16, 0x0C int32, 0x0D float32,
    0x0E float64), the rank, then one 4-byte size per dimension and the values, all big-endian, last dimension
    fastest. Source: Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits", file formats.

    Raises DataError, with what was found and expected, if the file cannot be read, is a damaged gzip stream,
    does not begin as IDX does, or holds fewer or more bytes than its header says.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "labels"
    ...     _ = path.write_bytes(bytes([0, 0, 0x08, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    return parse_idx(read_content(Path(path)))


def parse_idx(content: Content) -> NDArray[Any]:
    """The array in the bytes of an IDX file; see `read_idx`."""
    data, origin = content.data, content.origin
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _DTYPES:
        raise DataError(
            f"{origin} is not IDX: it begins with {data[:4].hex(' ') or 'nothing'}; expected 00 00, "
            f"a type code of {', '.join(f'{code:02x}' for code in _DTYPES)}, and the rank"
        )
    dtype, rank = _DTYPES[data[2]], data[3]
    start = 4 + 4 * rank
    if len(data) < start:
        raise DataError(f"{origin} is cut short: {len(data)} bytes, but the header of rank {rank} has {start}")
    shape = [int.from_bytes(data[at : at + 4], "big") for at in range(4, start, 4)]
    expected = start + math.prod(shape) * dtype.itemsize  # integers of Python: a lying header cannot overflow
    if len(data) != expected:
        what = "is cut short" if len(data) < expected else "has trailing bytes"
        raise DataError(
            f"{origin} {what}: {len(data)} bytes found, {expected} expected for {dtype.newbyteorder('=')} {shape}"
        )
    try:
        values = np.frombuffer(data, dtype, offset=start).reshape(shape)
    except ValueError as error:  # a rank or an empty shape beyond what NumPy holds
        raise DataError(f"{origin} claims shape {shape}, which no array has: {error}") from error
    return values.astype(dtype.newbyteorder("="))
