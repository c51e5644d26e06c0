"""Weights in safetensors: names, shapes, dtypes and bytes, and no code."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from graphnn.errors import DataError

OTHERS = {
    ".h5": "HDF5",
    ".hdf5": "HDF5",
    ".keras": "Keras",
    ".pt": "torch",
    ".pth": "torch",
    ".ckpt": "a checkpoint",
    ".pkl": "pickle",
    ".pickle": "pickle",
    ".npy": "NumPy",
    ".npz": "NumPy",
    ".onnx": "ONNX",
}


def save_weights(path: str | os.PathLike[str], state: Mapping[str, NDArray[Any]]) -> Path:
    """Write arrays by name; the file is whole or not there, whatever happens.

    Raises
    ------
    DataError
        If the suffix is another format's, the folder is missing, the format lacks a dtype, or the
        file cannot be written; an older file is kept.
    """
    target = Path(path).resolve()  # a link stays one, and what it points to is written
    if target.suffix in OTHERS:
        raise DataError(
            f"{target}: weights are written in safetensors, and {target.suffix} is the suffix of "
            f"{OTHERS[target.suffix]}. Did you mean {str(target.with_suffix('.safetensors'))!r}?"
        )
    if target.exists() and not target.is_file():
        raise DataError(f"{target}: is no regular file, and is not replaced by one")
    if not target.parent.is_dir():
        raise DataError(f"{target}: the folder {target.parent} does not exist; create it first")
    # safetensors writes the bytes of a transposed array as they lie, in the wrong order.
    rows = {name: np.asarray(array, order="C") for name, array in state.items()}
    try:
        data = save(rows, metadata={"format": "graphnn"})
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".writing-")
    except (OSError, SafetensorError) as error:
        raise DataError(f"{target}: cannot be written: {error}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise DataError(f"{target}: cannot be written: {error}") from error
        raise
    return Path(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def load_weights(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """The arrays of a file by name, in the order of the names.

    Raises
    ------
    DataError
        If the file is missing or damaged.
    """
    try:
        return dict(sorted(load(Path(path).read_bytes()).items()))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    except (SafetensorError, ValueError, KeyError) as error:
        raise DataError(f"{path}: not a whole safetensors file: {error}") from error
