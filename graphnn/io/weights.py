"""Weights in safetensors: names, shapes, dtypes and bytes, and no code."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from graphnn.errors import DataError
from graphnn.files import as_path, target_of, write_whole
from graphnn.train.checkpoint import FORMAT, read_checkpoint

# How the names of those dtypes of the format begin that NumPy lacks.
FOREIGN = ("BF16", "F8_", "F6_", "F4")

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
    target = target_of(path)
    if target.suffix in OTHERS:
        raise DataError(
            f"{target}: weights are written in safetensors, and {target.suffix} is the suffix of "
            f"{OTHERS[target.suffix]}. Did you mean {str(target.with_suffix('.safetensors'))!r}?"
        )
    if not target.parent.is_dir():
        raise DataError(f"{target}: the folder {target.parent} does not exist; create it first")
    # safetensors writes the bytes of a transposed array as they lie, in the wrong order.
    rows = {name: np.asarray(array, order="C") for name, array in state.items()}
    try:
        data = save(rows, metadata={"format": "graphnn"})
    except UnicodeEncodeError as error:
        raise DataError(
            f"{target}: the name {error.object!r} is no text that a file can hold "
            f"({error.reason}); give the parameter another name"
        ) from None
    except SafetensorError as error:
        raise DataError(f"{target}: cannot be written: {error}") from error
    write_whole(target, data)
    return Path(path)


def load_weights(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """The arrays of a file by name, in the order of the names; of a checkpoint the weights alone.

    Raises
    ------
    DataError
        If the file is missing or damaged.
    """
    place = as_path(path)
    try:
        data = place.read_bytes()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    header = _header(data)
    if header.get("__metadata__", {}).get("format") == FORMAT:
        return read_checkpoint(path).part("weights")
    _check_dtypes(path, header)
    try:
        return dict(sorted(load(data).items()))
    except (SafetensorError, ValueError, KeyError) as error:
        raise DataError(f"{path}: not a whole safetensors file: {error}") from error


def _header(data: bytes) -> dict[str, dict[str, Any]]:
    """What a file says of its arrays; nothing where it is damaged: safetensors says that itself."""
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except ValueError:
        return {}
    whole = isinstance(header, dict) and all(isinstance(one, dict) for one in header.values())
    return header if whole else {}


def _check_dtypes(path: str | os.PathLike[str], header: Mapping[str, Mapping[str, Any]]) -> None:
    """Say which dtype it is that NumPy lacks."""
    for name, entry in header.items():
        kind = entry.get("dtype", "")
        if name != "__metadata__" and str(kind).startswith(FOREIGN):
            raise DataError(
                f"{path}: {name} is {kind}, a dtype that NumPy and graphnn do not have. Convert it "
                "where it was written, for instance with tensor.float()."
            )
