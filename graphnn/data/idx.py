"""IDX, the file format of MNIST: a header that counts, then the numbers, nothing else.

===============  ==========================================================================
bytes            meaning
===============  ==========================================================================
0, 1             zero
2                dtype code: 0x08 uint8, 0x09 int8, 0x0B int16, 0x0C int32, 0x0D float32,
                 0x0E float64
3                number of axes, d
4 … 4 + 4d       the d extents, each a big-endian uint32
then             the elements, C order, big-endian
===============  ==========================================================================

Source: Y. LeCun, C. Cortes, C. J. C. Burges, *The MNIST database of handwritten digits*,
section "The IDX file format".

A header is a promise by whoever wrote the file, so it is never trusted: nothing is allocated on
its word, and a file that holds less or more than its header says is an error.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from graphnn.errors import DataError

_DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_MAX_AXES = 32
_MAX_BYTES = 2**40
_CHUNK = 2**20
_GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: str | os.PathLike[str], *, sha256: str | None = None) -> NDArray[Any]:
    r"""Read an IDX file, plain or gzip-compressed, into an array.

    Parameters
    ----------
    path : str or path-like
        The file. Compression is known by its first two bytes, not by its name.
    sha256 : str, optional
        Hexadecimal SHA-256 that the *unpacked* file must have.

    Returns
    -------
    ndarray
        Of the shape and dtype that the header declares, C-contiguous, in native byte order.

    Raises
    ------
    DataError
        If the file is missing, unreadable, damaged, shorter or longer than its header says, or
        has another hash.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "labels.idx1")
    ...     _ = path.write_bytes(b"\0\0\x08\x01" + b"\0\0\0\x03" + bytes([7, 2, 1]))
    ...     read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == _GZIP_MAGIC
            file.seek(0)
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if compressed else file
            return parse_idx(stream, str(path), sha256=sha256)
    except FileNotFoundError as error:
        raise DataError(f"{path}: expected an IDX file, found none. Check the path.") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: expected a whole gzip file, found a damaged one ({error}). "
            "Delete it and fetch it again."
        ) from error
    except OSError as error:
        raise DataError(
            f"{path}: expected a readable file, found {error.strerror or error}. "
            "Check its permissions."
        ) from error


def parse_idx(stream: BinaryIO, source: str, *, sha256: str | None = None) -> NDArray[Any]:
    r"""Parse one whole IDX stream.

    Parameters
    ----------
    stream : binary file
        Unpacked IDX bytes, read from its present position to its end.
    source : str
        What to call the stream in an error message.
    sha256 : str, optional
        Hexadecimal SHA-256 that the bytes must have.

    Returns
    -------
    ndarray
        Of the shape and dtype that the header declares, C-contiguous, in native byte order.

    Raises
    ------
    DataError
        If the bytes are not exactly one IDX file, or have another hash.

    Examples
    --------
    >>> import io
    >>> stream = io.BytesIO(b"\0\0\x0b\x01" + b"\0\0\0\x02" + b"\0\1\xff\xff")
    >>> parse_idx(stream, "two shorts")
    array([ 1, -1], dtype=int16)
    """
    header, dtype, shape = _read_header(stream, source)
    expected = math.prod(shape) * dtype.itemsize
    # One byte more than promised, to notice what should not be there.
    payload = _read_at_most(stream, expected + 1)
    if len(payload) != expected:
        found = f"only {len(payload)}" if len(payload) < expected else "more"
        raise DataError(
            f"{source}: expected {expected} bytes of data, as its header says (shape {shape}, "
            f"{dtype.name}), found {found}. The file is cut short or not what it claims to be: "
            "fetch it again."
        )
    if sha256 is not None:
        _check_hash(header, payload, sha256, source)
    return np.frombuffer(payload, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _read_header(stream: BinaryIO, source: str) -> tuple[bytes, np.dtype[Any], tuple[int, ...]]:
    """Return the header's bytes, the dtype (big-endian) and the shape."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise DataError(
            f"{source}: expected an IDX header, which starts with two zero bytes and has at least "
            f"4, found {magic!r}. Check that this is an IDX file."
        )
    code, axes = magic[2], magic[3]
    if code not in _DTYPES:
        known = ", ".join(f"0x{known:02X}" for known in _DTYPES)
        raise DataError(
            f"{source}: expected an IDX dtype code ({known}), found 0x{code:02X}. "
            "Check that this is an IDX file."
        )
    if not 1 <= axes <= _MAX_AXES:
        raise DataError(
            f"{source}: expected 1 to {_MAX_AXES} axes, found {axes}. "
            "Check that this is an IDX file."
        )
    extents = stream.read(4 * axes)
    if len(extents) != 4 * axes:
        raise DataError(
            f"{source}: expected {axes} extents in the header ({4 * axes} bytes), found "
            f"{len(extents)} bytes. The file is cut short: fetch it again."
        )
    dtype, shape = _DTYPES[code], struct.unpack(f">{axes}I", extents)
    # Zeros are left out, for NumPy refuses (0, 2**32 - 1, 2**32 - 1, …) too.
    if math.prod(extent or 1 for extent in shape) * dtype.itemsize > _MAX_BYTES:
        raise DataError(
            f"{source}: expected at most {_MAX_BYTES} bytes of data, found a header that says "
            f"shape {shape}, {dtype.name}. The header is damaged: fetch the file again."
        )
    return magic + extents, dtype, shape


def _read_at_most(stream: BinaryIO, limit: int) -> bytearray:
    """Read up to `limit` bytes, a chunk at a time: memory grows with the data that is there."""
    data = bytearray()
    while chunk := stream.read(min(_CHUNK, limit - len(data))):
        data += chunk
    return data


def _check_hash(header: bytes, payload: bytearray, expected: str, source: str) -> None:
    digest = hashlib.sha256(header)
    digest.update(payload)
    if digest.hexdigest() != expected:
        raise DataError(
            f"{source}: expected SHA-256 {expected} (unpacked), found {digest.hexdigest()}. "
            "The file is damaged or another one under the same name: delete it and fetch it again."
        )
