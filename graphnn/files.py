"""Files that are whole or not there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from graphnn.errors import DataError

PART = ".writing-"  # how the names of files begin that are not whole yet


def as_path(path: object) -> Path:
    """What a person gives as a path.

    Raises
    ------
    DataError
        If it is none.
    """
    if not isinstance(path, str | os.PathLike):
        raise DataError(f"a path is a text or a pathlib.Path, such as 'run1'; got {path!r}")
    return Path(path)


def target_of(path: str | os.PathLike[str]) -> Path:
    """The file that ``path`` means: a link stays one, and what it points to is written.

    Raises
    ------
    DataError
        If it is no path, a folder, a device or a pipe, or there is no way to it.
    """
    try:
        target = as_path(path).resolve()
        other = target.exists() and not target.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle; a zero byte
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: cannot be written: {error}") from None
    if other:
        raise DataError(f"{target}: is no regular file, and is not replaced by one")
    return target


def write_whole(target: Path, data: bytes) -> None:
    """Write all of the file or nothing: a reader never sees half of it, an older one is kept.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=PART)
    except OSError as error:
        raise DataError(f"{target}: cannot be written: {error}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise DataError(f"{target}: cannot be written: {error}") from error
        raise


def _sync_folder(folder: Path) -> None:
    """Bring the new name to the disk too; a system without folders that can be opened does not."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
