"""Compiled kernels on disk: found again, and never trusted when damaged, foreign or writable."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from graphnn.backends.cpu import cache, compile

KERNELS = 12

# A process of its own: what it compiles, what it loads, and whether each kernel does its work.
PROGRAM = f"""
    import ctypes, json
    import numpy as np
    from graphnn.backends.cpu import compile

    outcome = []
    for k in range({KERNELS}):
        source = f"def write_{{k}}(data, meta, lane, lanes):\\n    pointer_i64(data)[0] = {{k}} + 100\\n"
        before = dict(compile.counts)
        address = compile.kernel_address(source, f"write_{{k}}")
        out = np.zeros(1, np.int64)
        ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(address)(out.ctypes.data, 0, 0, 1)
        assert out[0] == k + 100
        change = {{name: n - before[name] for name, n in compile.counts.items() if n > before[name]}}
        outcome.append([compile._key(source, "kernel"), change])
    print(json.dumps(outcome))
"""

FUNCTION = """
    import json
    import numpy as np
    import graphnn as gn
    from graphnn.backends.cpu import compile

    x = gn.Input((None, 8), name="x")
    W = gn.Parameter(np.ones((8, 4), np.float32))
    y = gn.Input((None,), "int64", name="y")
    loss = gn.cross_entropy(gn.dropout(gn.tanh(x)) @ W, y) + gn.max(gn.softmax(x))
    step = gn.function([x, y], loss, updates=[(W, W - 0.1 * gn.grad(loss, W))])
    step(np.ones((4000, 8), np.float32), np.zeros(4000, np.int64))
    print(json.dumps(compile.counts))
"""


def command(program: str) -> list[str]:
    return [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "GRAPHNN_CACHE_DIR": str(folder)}


def run(program: str, folder: Path):
    done = subprocess.run(
        command(program), env=environment(folder), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.kernel"))


def test_a_second_process_compiles_nothing(tmp_path):
    folder = tmp_path / "deep" / "kernels"
    first = run(PROGRAM, folder)
    assert [change for _, change in first] == [{"compiled": 1}] * KERNELS
    assert {path.stem for path in entries(folder)} == {key for key, _ in first}
    second = run(PROGRAM, folder)
    assert [change for _, change in second] == [{"loaded": 1}] * KERNELS
    assert [key for key, _ in first] == [key for key, _ in second]


def test_the_kernels_of_a_function_load_in_another_process(tmp_path):
    """Elementwise, products, reductions, rows, random numbers, and the executor's loop."""
    first = run(FUNCTION, tmp_path)
    assert first["compiled"] >= 8
    assert run(FUNCTION, tmp_path) == {"compiled": 0, "loaded": first["compiled"], "unwritten": 0}


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_only_the_user_may_read_and_write(tmp_path):
    folder = tmp_path / "kernels"
    run(PROGRAM, folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in entries(folder)} == {0o600}


def flipped(path: Path, place: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 0x10
    path.write_bytes(data)


def with_another_head(path: Path) -> None:
    """The facts changed, the hash left as it is: another length of the object code."""
    text = path.read_bytes()
    at = text.index(b'"object_bytes": ') + len(b'"object_bytes": ')
    digit = b"2" if text[at : at + 1] == b"1" else b"1"
    path.write_bytes(text[:at] + digit + text[at + 1 :])


DAMAGES = {
    "half of it": lambda path, other: path.write_bytes(
        path.read_bytes()[: path.stat().st_size // 2]
    ),
    "one byte less": lambda path, other: path.write_bytes(path.read_bytes()[:-1]),
    "nothing": lambda path, other: path.write_bytes(b""),
    "garbage": lambda path, other: path.write_bytes(os.urandom(5000)),
    "a flipped bit in the code": lambda path, other: flipped(path, 0.5),
    "a flipped bit at the end": lambda path, other: flipped(path, 1.0),
    "other facts": lambda path, other: with_another_head(path),
    "another kernel's entry": lambda path, other: path.write_bytes(other.read_bytes()),
    "another version": lambda path, other: path.write_bytes(
        path.read_bytes().replace(cache.MAGIC, b"graphnn kernel 1\n")
    ),
    "the group may write": lambda path, other: path.chmod(0o660),
    "anyone may write": lambda path, other: path.chmod(0o602),
}
assert len(DAMAGES) < KERNELS


def test_what_is_damaged_is_compiled_again(tmp_path):
    """Each entry is damaged in another way; the last one is left whole. Then all are mended."""
    keys = [key for key, _ in run(PROGRAM, tmp_path)]
    paths = [tmp_path / f"{key}.kernel" for key in keys]
    for damage, path in zip(DAMAGES.values(), paths, strict=False):
        damage(path, paths[-1])
    outcome = run(PROGRAM, tmp_path)
    for name, (_, change) in zip(DAMAGES, outcome, strict=False):
        assert change == {"compiled": 1}, f"{name}: {change}"
    assert outcome[-1][1] == {"loaded": 1}
    assert [change for _, change in run(PROGRAM, tmp_path)] == [{"loaded": 1}] * KERNELS


def test_an_entry_of_another_user(tmp_path):
    if not hasattr(os, "getuid") or os.getuid() != 0:
        pytest.skip("only root can give a file to another user")
    keys = [key for key, _ in run(PROGRAM, tmp_path)]
    os.chown(tmp_path / f"{keys[0]}.kernel", 12345, -1)
    outcome = run(PROGRAM, tmp_path)
    assert outcome[0][1] == {"compiled": 1}
    assert outcome[1][1] == {"loaded": 1}


def test_a_folder_in_place_of_an_entry(tmp_path):
    keys = [key for key, _ in run(PROGRAM, tmp_path)]
    path = tmp_path / f"{keys[0]}.kernel"
    path.unlink()
    path.mkdir()
    assert run(PROGRAM, tmp_path)[0][1] == {"compiled": 1, "unwritten": 1}
    assert not list(tmp_path.glob(".writing-*"))


def test_a_cache_that_cannot_be(tmp_path):
    """Beneath a file no folder can be made: it costs time, never a result."""
    file = tmp_path / "file"
    file.write_text("no folder")
    outcome = run(PROGRAM, file / "kernels")
    assert [change for _, change in outcome] == [{"compiled": 1, "unwritten": 1}] * KERNELS


def test_a_folder_that_is_read_only(tmp_path):
    if not hasattr(os, "getuid") or os.getuid() == 0:
        pytest.skip("root writes into read-only folders, too")
    run(PROGRAM, tmp_path)
    entries(tmp_path)[0].unlink()
    tmp_path.chmod(0o500)
    try:
        changes = [change for _, change in run(PROGRAM, tmp_path)]
    finally:
        tmp_path.chmod(0o700)
    assert changes.count({"compiled": 1, "unwritten": 1}) == 1
    assert changes.count({"loaded": 1}) == KERNELS - 1


def test_two_processes_at_once(tmp_path):
    """Each sees all of an entry or nothing of it."""
    folder = tmp_path / "kernels"
    processes = [
        subprocess.Popen(
            command(PROGRAM),
            env=environment(folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [error for _, error in outputs] == ["", ""]
    for output, _ in outputs:
        assert all(sum(change.values()) == 1 for _, change in json.loads(output))
    assert not list(folder.glob(".writing-*"))
    assert [change for _, change in run(PROGRAM, folder)] == [{"loaded": 1}] * KERNELS


# ------------------------------------------------------------------------------- in this process

ENTRY = cache.Entry("symbol", "library", b"object\ncode", b"bit\ncode")


def test_an_entry_comes_back(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHNN_CACHE_DIR", str(tmp_path))
    assert cache.load("key") is None
    assert cache.store("key", ENTRY)
    assert cache.load("key") == ENTRY
    assert cache.load("other") is None


def test_every_byte_counts(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHNN_CACHE_DIR", str(tmp_path))
    cache.store("key", ENTRY)
    path = tmp_path / "key.kernel"
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert cache.load("key") is None, f"byte {place}"
        path.write_bytes(whole[:place])
        assert cache.load("key") is None, f"cut at {place}"
    path.write_bytes(whole)
    assert cache.load("key") == ENTRY


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHNN_CACHE_DIR", str(tmp_path))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert cache.store("key", ENTRY) is False
    assert list(tmp_path.iterdir()) == []


def test_where_the_cache_is(monkeypatch):
    monkeypatch.setenv("GRAPHNN_CACHE_DIR", "/somewhere/else")
    assert cache.folder() == Path("/somewhere/else")
    for value in (None, ""):
        if value is None:
            monkeypatch.delenv("GRAPHNN_CACHE_DIR")
        else:
            monkeypatch.setenv("GRAPHNN_CACHE_DIR", value)
        assert cache.folder().name == "kernels"
        assert "graphnn" in cache.folder().parts


def test_what_the_key_depends_on(monkeypatch):
    """Source, signature, versions, processor, flags, and graphnn's own kernel support."""
    keys = {compile._key("source", "kernel"), compile._key("sourcf", "kernel")}
    keys.add(compile._key("source", "executor"))
    changes = [
        (compile.numba, "__version__", "0.0"),
        (compile.llvmlite, "__version__", "0.0"),
        (compile.llvm, "get_host_cpu_name", lambda: "another"),
        (compile, "OPTIONS", {**compile.OPTIONS, "error_model": "python"}),
        (compile, "OPTIONS", {**compile.OPTIONS, "fastmath": {"contract"}}),
        (compile, "_HERE", Other(compile._HERE)),
    ]
    for place, name, value in changes:
        with monkeypatch.context() as patch:
            patch.setattr(place, name, value)
            compile._salt.cache_clear()
            keys.add(compile._key("source", "kernel"))
    compile._salt.cache_clear()
    assert len(keys) == 3 + len(changes)
    assert compile._key("source", "kernel") in keys


class Other:
    """A folder whose files have one more line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __truediv__(self, name: str) -> Other:
        return Other(self.path / name)

    def glob(self, pattern: str) -> list[Other]:
        return [Other(path) for path in self.path.glob(pattern)]

    def __lt__(self, other: Other) -> bool:
        return self.path < other.path

    def read_text(self) -> str:
        return self.path.read_text() + "# another line\n"


def test_one_source_is_compiled_once_in_a_process(monkeypatch, tmp_path):
    monkeypatch.setenv("GRAPHNN_CACHE_DIR", str(tmp_path))
    source = "def once(data, meta, lane, lanes):\n    pointer_i64(data)[0] = 31\n"
    before = dict(compile.counts)
    address = compile.kernel_address(source, "once")
    assert compile.kernel_address(source, "once") == address
    assert compile.counts["compiled"] == before["compiled"] + 1
