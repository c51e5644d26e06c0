"""Compiled kernels on disk, by the hash of what they were made from.

An entry is found only by the hash of its source, signature, flags, the versions of numba, llvmlite
and graphnn's own kernel support, and the processor's name and features; it carries the hash of its
content. Whatever is damaged, foreign or unreadable is compiled again.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

MAGIC = b"graphnn kernel 2\n"


@dataclass(frozen=True)
class Entry:
    """Object code of one kernel, as the code generator gave it."""

    symbol: str
    library: str
    object_code: bytes
    bitcode: bytes


def folder() -> Path:
    """Where kernels are kept: ``GRAPHNN_CACHE_DIR``, else the user's cache folder."""
    given = os.environ.get("GRAPHNN_CACHE_DIR")
    return (
        Path(given).expanduser()
        if given
        else Path(platformdirs.user_cache_dir("graphnn")) / "kernels"
    )


def load(key: str) -> Entry | None:
    """The entry for ``key``, or None if there is none that is whole and ours."""
    try:
        with (folder() / f"{key}.kernel").open("rb") as file:
            return _parse(file.read(), key) if _is_ours(os.fstat(file.fileno())) else None
    except OSError:
        return None


def _is_ours(status: os.stat_result) -> bool:
    """Whether only this user could have written the file."""
    if not hasattr(os, "getuid"):
        return True
    return status.st_uid == os.getuid() and not status.st_mode & 0o022


def _digest(rest: bytes) -> bytes:
    return hashlib.sha256(rest).hexdigest().encode()


def _parse(text: bytes, key: str) -> Entry | None:
    """The entry in a file: magic, hash of all that follows, facts, object code and bitcode."""
    digest, _, rest = text.removeprefix(MAGIC).partition(b"\n")
    if not text.startswith(MAGIC) or digest != _digest(rest):
        return None
    head, _, payload = rest.partition(b"\n")
    facts = json.loads(head)
    cut = facts["object_bytes"]
    entry = Entry(facts["symbol"], facts["library"], payload[:cut], payload[cut:])
    return entry if facts["key"] == key else None


def store(key: str, entry: Entry) -> bool:
    """Keep an entry; True if it was written.

    A cache that cannot be written (read-only, full) costs time, never a result: False is returned
    and ``graphnn info`` says so.
    """
    facts = {
        "key": key,
        "symbol": entry.symbol,
        "library": entry.library,
        "object_bytes": len(entry.object_code),
    }
    rest = json.dumps(facts).encode() + b"\n" + entry.object_code + entry.bitcode
    try:
        home = folder()
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_whole(home / f"{key}.kernel", MAGIC + _digest(rest) + b"\n" + rest)
    except OSError:
        return False
    return True


def _write_whole(path: Path, data: bytes) -> None:
    """Write under another name, then rename: a reader sees all of it or nothing."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
