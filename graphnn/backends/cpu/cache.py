"""Compiled kernels on disk, by the hash of what they were made from.

An entry is found only by the hash of its source, signature, flags, the versions of numba, llvmlite
and graphnn's own kernel support, and the processor's name and features; it carries the hash of its
payload. Whatever is damaged, foreign or unreadable is compiled again.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

MAGIC = b"graphnn kernel 1\n"


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
    return Path(given) if given else Path(platformdirs.user_cache_dir("graphnn")) / "kernels"


def load(key: str) -> Entry | None:
    """The entry for ``key``, or None if there is none that is whole and ours."""
    path = folder() / f"{key}.kernel"
    try:
        if not _is_ours(path):
            return None
        return _parse(path.read_bytes(), key)
    except OSError:
        return None


def _is_ours(path: Path) -> bool:
    """Whether only this user could have written the file."""
    if not hasattr(os, "getuid"):
        return True
    status = path.stat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o022


def _parse(text: bytes, key: str) -> Entry | None:
    if not text.startswith(MAGIC):
        return None
    head, _, payload = text[len(MAGIC) :].partition(b"\n")
    try:
        facts = json.loads(head)
        whole = facts["key"] == key and facts["sha256"] == hashlib.sha256(payload).hexdigest()
        cut = int(facts["object_bytes"])
        entry = Entry(str(facts["symbol"]), str(facts["library"]), payload[:cut], payload[cut:])
    except (ValueError, KeyError, TypeError):
        return None
    return entry if whole else None


def store(key: str, entry: Entry) -> bool:
    """Keep an entry; True if it was written.

    A cache that cannot be written (read-only, full) costs time, never a result: False is returned
    and ``graphnn info`` says so.
    """
    payload = entry.object_code + entry.bitcode
    facts = {
        "key": key,
        "symbol": entry.symbol,
        "library": entry.library,
        "object_bytes": len(entry.object_code),
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
    try:
        home = folder()
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_whole(home / f"{key}.kernel", MAGIC + json.dumps(facts).encode() + b"\n" + payload)
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
