"""Weights on disk: safetensors, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import stat
import struct
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import graphnn as gn
from graphnn import nn
from graphnn.io import load_weights, save_weights


@pytest.fixture
def state(rng):
    return {
        "0.weight": rng.normal(size=(3, 4)).astype(np.float32),
        "0.bias": rng.normal(size=3),
        "steps": np.array(7, np.int64),
        "mask": np.array([True, False, True]),
        "table": rng.integers(0, 255, (2, 2, 2)).astype(np.uint8),
        "index": np.arange(5, dtype=np.int32),
        "empty": np.zeros((0, 3), np.float32),
    }


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        np.testing.assert_array_equal(found[name], array, err_msg=name, strict=True)


def model_of(seed):
    gn.set_seed(seed)
    x = gn.Input((None, 4), name="x")
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(0.5), nn.Linear(3, 2))
    return gn.Model(x, net(x))


# --------------------------------------------------------------------------- round trips


def test_round_trip(tmp_path, state):
    path = save_weights(tmp_path / "a.safetensors", state)
    assert path == tmp_path / "a.safetensors"
    assert_same(load_weights(path), state)


def test_paths_may_be_text(tmp_path, state):
    save_weights(f"{tmp_path}/ä b.safetensors", state)
    assert_same(load_weights(f"{tmp_path}/ä b.safetensors"), state)


def test_a_bare_name_is_in_the_present_folder(tmp_path, state, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_weights("a.safetensors", state)
    assert_same(load_weights(tmp_path / "a.safetensors"), state)


def test_arrays_in_any_memory_order(tmp_path, rng):
    wide = rng.normal(size=(6, 8))
    state = {"transposed": wide.T, "strided": wide[::2, ::3], "reversed": wide[::-1]}
    save_weights(tmp_path / "a.safetensors", state)
    assert_same(load_weights(tmp_path / "a.safetensors"), state)


def test_a_model_round_trip(tmp_path, rng):
    first, second = model_of(1), model_of(2)
    X = rng.normal(size=(5, 4)).astype(np.float32)
    assert (first.predict(X) != second.predict(X)).any()
    path = first.save(tmp_path / "model.safetensors")
    second.load(path)
    assert_same(second.state_dict(), first.state_dict())
    assert first.predict(X).tobytes() == second.predict(X).tobytes()


def test_saving_over_an_older_file(tmp_path, state):
    path = tmp_path / "a.safetensors"
    save_weights(path, {"old": np.ones(1000)})
    save_weights(path, state)
    assert_same(load_weights(path), state)
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


# --------------------------------------------------------------------------- the format


def test_the_safetensors_library_reads_it(tmp_path):
    model = model_of(0)
    path = model.save(tmp_path / "model.safetensors")
    assert_same(safetensors.numpy.load_file(path), model.state_dict())
    with safetensors.safe_open(path, framework="numpy") as file:
        assert file.metadata() == {"format": "graphnn"}
        assert sorted(file.keys()) == ["0.bias", "0.weight", "3.bias", "3.weight"]


def test_the_bytes_are_those_of_the_published_format(tmp_path):
    """Eight bytes of length, a JSON header, the data in a row; read here without any library."""
    array = np.array([[1.5, -2.0]], np.float32)
    data = save_weights(tmp_path / "a.safetensors", {"w": array}).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    assert header["w"] == {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}
    assert data[8 + length :] == array.tobytes()


def test_files_of_others_can_be_loaded(tmp_path):
    model, other = model_of(0), model_of(1)
    safetensors.numpy.save_file(other.state_dict(), tmp_path / "other.safetensors")
    model.load(tmp_path / "other.safetensors")
    assert_same(model.state_dict(), other.state_dict())


@pytest.mark.torch
def test_torch_reads_and_writes_it(tmp_path):
    torch = pytest.importorskip("torch", reason="compares with PyTorch: install graphnn[torch]")
    from safetensors.torch import load_file, save_file

    model = model_of(0)
    t = torch.nn
    peer = t.Sequential(t.Linear(4, 3), t.ReLU(), t.Dropout(0.5), t.Linear(3, 2))
    peer.load_state_dict(load_file(model.save(tmp_path / "a.safetensors")))
    for name, tensor in peer.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), model.state_dict()[name])
    save_file({name: tensor + 1 for name, tensor in peer.state_dict().items()}, tmp_path / "b")
    before = model.state_dict()
    model.load(tmp_path / "b")
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name] + 1)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits of this kind")
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_permissions_follow_the_umask(tmp_path, state, mask):
    before = os.umask(mask)
    try:
        path = save_weights(tmp_path / "a.safetensors", state)
        assert os.umask(mask) == mask  # saving has put it back
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


# --------------------------------------------------------------------------- whole or not at all


def assert_kept(folder, old):
    """The older file is as it was, and nothing else lies in the folder."""
    assert [file.name for file in folder.iterdir()] == ["a.safetensors"]
    assert_same(load_weights(folder / "a.safetensors"), old)


class FullDisk:
    """A file whose disk is full after some bytes."""

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.file.close()

    def write(self, data):
        self.file.write(data[:20])
        self.file.flush()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk(tmp_path, state, monkeypatch):
    old = {"old": np.ones(3)}
    save_weights(tmp_path / "a.safetensors", old)
    opened = os.fdopen
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdopen", lambda *args: FullDisk(opened(*args)))
        with pytest.raises(gn.DataError, match=r"a\.safetensors: cannot be written: .*No space"):
            save_weights(tmp_path / "a.safetensors", state)
    assert_kept(tmp_path, old)


def _no(*_args, **_options):
    raise OSError(errno.EIO, "the cable is out")


def _interrupted(*_args, **_options):
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["replace", "fsync", "chmod"])
@pytest.mark.parametrize("older", [True, False])
def test_whatever_fails_the_older_file_stays(tmp_path, state, monkeypatch, name, older):
    old = {"old": np.ones(3)}
    if older:
        save_weights(tmp_path / "a.safetensors", old)
    with monkeypatch.context() as patched:
        patched.setattr(os, name, _no)
        with pytest.raises(gn.DataError, match=r"a\.safetensors: cannot be written: .*the cable"):
            save_weights(tmp_path / "a.safetensors", state)
    if older:
        assert_kept(tmp_path, old)
    else:
        assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_saving(tmp_path, state, monkeypatch):
    old = {"old": np.ones(3)}
    save_weights(tmp_path / "a.safetensors", old)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            save_weights(tmp_path / "a.safetensors", state)
    assert_kept(tmp_path, old)


def test_a_folder_that_cannot_be_written(tmp_path, state, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "mkstemp", _no)
        with pytest.raises(gn.DataError, match=r"a\.safetensors: cannot be written: .*the cable"):
            save_weights(tmp_path / "a.safetensors", state)


def test_a_missing_folder(tmp_path, state):
    with pytest.raises(gn.DataError, match=r"the folder .*nowhere does not exist; create it first"):
        save_weights(tmp_path / "nowhere" / "a.safetensors", state)
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_in_the_place_of_the_file(tmp_path, state):
    (tmp_path / "a.safetensors").mkdir()
    with pytest.raises(gn.DataError, match=r"a\.safetensors: is no regular file"):
        save_weights(tmp_path / "a.safetensors", state)
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


def test_dtypes_that_the_format_lacks(tmp_path):
    with pytest.raises(gn.DataError, match=r"a\.safetensors: cannot be written: .*complex"):
        save_weights(tmp_path / "a.safetensors", {"w": np.ones(2, np.complex128)})
    assert list(tmp_path.iterdir()) == []


# --------------------------------------------------------------------------- reading what is not


def _cut(data, keep):
    return data[: int(len(data) * keep)]


DAMAGES = {
    "empty": lambda data: b"",
    "cut in the header": lambda data: data[:30],
    "cut in the data": lambda data: data[:-1],
    "something behind": lambda data: data + b"x",
    "no JSON": lambda data: data[:8] + b"}" + data[9:],
    "a huge header": lambda data: struct.pack("<Q", 2**60) + data[8:],
    "another file": lambda data: b"PK\x03\x04" + bytes(100),
    "wrong offsets": lambda data: data.replace(b'"data_offsets":[0,', b'"data_offsets":[9,', 1),
    "unknown dtype": lambda data: data.replace(b'"F32"', b'"F99"', 1),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file(tmp_path, name):
    model = model_of(0)
    path = model.save(tmp_path / "a.safetensors")
    whole = path.read_bytes()
    broken = DAMAGES[name](whole)
    assert broken != whole
    path.write_bytes(broken)
    before = model.state_dict()
    with pytest.raises(gn.DataError, match=r"a\.safetensors: not a whole safetensors file: "):
        model.load(path)
    assert_same(model.state_dict(), before)


def test_a_missing_file(tmp_path):
    with pytest.raises(gn.DataError, match=r"nothing\.safetensors: cannot be read: .*No such file"):
        load_weights(tmp_path / "nothing.safetensors")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(gn.DataError, match="cannot be read"):
        load_weights(tmp_path)


def test_weights_of_another_network(tmp_path):
    model = model_of(0)
    x = gn.Input((None, 4), name="x")
    wider = gn.Model(x, nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 2))(x))
    before = model.state_dict()
    with pytest.raises(gn.DataError, match=r"missing \['3\.weight', '3\.bias'\], unknown \['2\.b"):
        model.load(wider.save(tmp_path / "wider.safetensors"))
    assert_same(model.state_dict(), before)


def test_the_folder_holds_nothing_else(tmp_path):
    model_of(0).save(tmp_path / "a.safetensors")
    assert [Path(file).name for file in tmp_path.iterdir()] == ["a.safetensors"]
