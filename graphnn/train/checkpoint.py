"""Checkpoints as files: all that training needs to go on, whole or not there.

One safetensors file holds the arrays, and in its header a text of JSON with everything else and a
digest of both. What was cut off, or changed on the disk, is found when it is read.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from graphnn.errors import DataError
from graphnn.files import PART, as_path, target_of, write_whole

FORMAT = "graphnn checkpoint 1"
WRITING_SECONDS = 60.0  # without a byte more, after which the writer of a file is dead
NAME = re.compile(r"checkpoint-(\d{12})\.safetensors")

Arrays: TypeAlias = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """What a training run is at one moment.

    Parameters
    ----------
    arrays
        Parameters, states, sums, columns of the history, by name.
    facts
        Everything else, as JSON has it.
    source
        Where it was read from.
    """

    arrays: Arrays
    facts: dict[str, Any]
    source: str = ""

    def part(self, folder: str) -> Arrays:
        """The arrays whose names begin with ``folder/``, without that."""
        start = f"{folder}/"
        return {n.removeprefix(start): a for n, a in self.arrays.items() if n.startswith(start)}


def path_of(folder: Path, step: int) -> Path:
    """The file of a checkpoint after so many steps."""
    return folder / f"checkpoint-{step:012d}.safetensors"


def write_checkpoint(path: str | os.PathLike[str], checkpoint: Checkpoint) -> Path:
    """Write a checkpoint; an older file is there until the new one is whole.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    target = target_of(path)
    text = json.dumps(checkpoint.facts)
    # safetensors writes the bytes of a transposed array as they lie, in the wrong order.
    arrays = {name: np.asarray(array, order="C") for name, array in checkpoint.arrays.items()}
    about = {"format": FORMAT, "facts": text, "digest": _digest(text, arrays)}
    try:
        data = save(arrays, metadata=about)
    except SafetensorError as error:
        raise DataError(f"{target}: cannot be written: {error}") from error
    write_whole(target, data)
    return Path(path)


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint.

    Raises
    ------
    DataError
        If the file is missing, damaged, or something else.
    """
    place = as_path(path)
    try:
        data = place.read_bytes()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        about = header.get("__metadata__", {})
        arrays = load(data)
    except (SafetensorError, ValueError, KeyError, AttributeError) as error:
        raise DataError(f"{path}: is no whole checkpoint: {error}") from None
    if about.get("format") != FORMAT:
        raise DataError(
            f"{path}: is no checkpoint. Weights alone are read by model.load(path); training goes "
            "on from what model.save_checkpoint or callbacks.ModelCheckpoint wrote."
        )
    if about.get("digest") != _digest(about.get("facts", ""), arrays):
        raise DataError(f"{path}: is damaged: its digest is not that of what is in it")
    return Checkpoint(arrays, json.loads(about["facts"]), str(path))


def _digest(text: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    found = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        found.update(f"\n{name} {array.dtype} {array.shape}\n".encode())
        found.update(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data)
    return found.hexdigest()


# Folders of checkpoints.


def steps_in(folder: Path) -> dict[int, Path]:
    """The checkpoints of a folder by the number of steps, the oldest first; also damaged ones."""
    if not folder.is_dir():
        return {}
    names = ((NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return dict(sorted((int(match[1]), path) for match, path in names if match))


def is_whole(path: Path) -> bool:
    """Whether a checkpoint can be read."""
    try:
        read_checkpoint(path)
    except DataError:
        return False
    return True


def latest(folder: Path) -> Checkpoint | None:
    """The last whole checkpoint of a folder; None if it has none at all.

    Raises
    ------
    DataError
        If there are some, and each is damaged.
    """
    damaged = ""
    for path in reversed(steps_in(folder).values()):
        try:
            return read_checkpoint(path)
        except DataError as error:
            damaged = damaged or str(error)
    if damaged:
        raise DataError(f"{folder}: no checkpoint in it is whole; the last one: {damaged}")
    return None


def _is_left(part: Path) -> bool:
    """Whether nobody writes a file any more: another process may use the same folder."""
    try:
        return time.time() - part.stat().st_mtime > WRITING_SECONDS
    except FileNotFoundError:  # it has its name by now
        return False


def prepare(folder: Path, step: int) -> None:
    """Make a folder for checkpoints behind ``step`` steps.

    Raises
    ------
    DataError
        If it cannot be written, or has whole checkpoints behind that step: of another run.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"{PART}*"):  # by a process that was killed while it wrote
            if _is_left(left):
                left.unlink(missing_ok=True)
        probe = folder / f"{PART}probe"
        probe.touch()
        probe.unlink(missing_ok=True)  # another process may do the same
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error}") from error
    for number, path in steps_in(folder).items():
        if number > step and is_whole(path):
            raise DataError(
                f"{folder} has checkpoints of another run, such as {path.name}, and training "
                f"begins after {step} steps. Go on from the last one, resume={str(folder)!r}, "
                "give another folder, or delete them."
            )


def prune(folder: Path, step: int, keep: int) -> None:
    """Delete the older checkpoints, so that ``keep`` of those up to ``step`` are left.

    Raises
    ------
    DataError
        If one cannot be deleted.
    """
    known = [path for number, path in steps_in(folder).items() if number <= step]
    for path in known[:-keep]:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise DataError(f"{path}: cannot be deleted: {error}") from error
