"""The data sets and the readers beneath them: what they return, and what they refuse."""

from __future__ import annotations

import datetime
import gzip
import hashlib
import io
import os
import re
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from graphnn.data import datasets
from graphnn.data.download import download_unpacked
from graphnn.data.idx import parse_idx, read_idx
from graphnn.errors import DataError, GraphnnError

CODES = {
    "uint8": 0x08,
    "int8": 0x09,
    "int16": 0x0B,
    "int32": 0x0C,
    "float32": 0x0D,
    "float64": 0x0E,
}


def idx_bytes(array: np.ndarray) -> bytes:
    """Write IDX, independently of the reader."""
    header = struct.pack(f">2xBB{array.ndim}I", CODES[array.dtype.name], array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def parse(data: bytes) -> np.ndarray:
    return parse_idx(io.BytesIO(data), "the stream")


arrays = st.sampled_from(sorted(CODES)).flatmap(
    lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)
    )
)


# ------------------------------------------------------------------------------------- IDX


@given(array=arrays)
def test_idx_round_trip(array):
    parsed = parse(idx_bytes(array))
    assert parsed.dtype == array.dtype
    assert parsed.dtype.isnative
    np.testing.assert_array_equal(parsed, array)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(data):
    try:
        array = parse(data)
    except DataError:
        return
    assert idx_bytes(array) == data


@given(array=arrays, data=st.data())
def test_one_damaged_byte_never_yields_more_than_the_file_holds(array, data):
    damaged = bytearray(idx_bytes(array))
    where = data.draw(st.integers(0, len(damaged) - 1))
    damaged[where] ^= data.draw(st.integers(1, 255))
    try:
        parsed = parse(bytes(damaged))
    except DataError:
        return
    assert 4 + 4 * parsed.ndim + parsed.nbytes == len(damaged)


@given(array=arrays, data=st.data())
def test_a_file_cut_anywhere_is_refused(array, data):
    whole = idx_bytes(array)
    with pytest.raises(DataError, match="found"):
        parse(whole[: data.draw(st.integers(0, len(whole) - 1))])


def header(code: int, *extents: int) -> bytes:
    return struct.pack(f">2xBB{len(extents)}I", code, len(extents), *extents)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"an IDX header, which starts with two zero bytes.*found b''.*Check that"),
        (b"\0\0\x08", r"at least 4, found b'\\x00\\x00\\x08'"),
        (b"PK\x03\x04 a zip file", r"found b'PK\\x03\\x04'"),
        (header(0x0A, 2) + b"12", r"dtype code \(0x08, 0x09, 0x0B, .*\), found 0x0A"),
        (header(0x08), r"1 to 32 axes, found 0\."),
        (header(0x08, *[1] * 33), r"1 to 32 axes, found 33\."),
        (b"\0\0\x08\x02\0\0\0\x01", r"2 extents .* \(8 bytes\), found 4 bytes"),
        (header(0x08, 3) + b"12", r"3 bytes .* \(shape \(3,\), uint8\), found only 2\."),
        (header(0x0C, 1) + b"12345", r"4 bytes .* int32\), found more\..*fetch it again"),
        (header(0x08, 2**31) + b"12", r"2147483648 bytes .* found only 2\."),
        (header(0x0E, *[2**32 - 1] * 4), r"at most \d+ bytes .*4294967295.*header is damaged"),
        (header(0x08, 0, *[2**32 - 1] * 4), r"at most \d+ bytes .* found a header that says"),
    ],
)
def test_damaged_idx_is_refused_in_words(data, message):
    with pytest.raises(DataError, match=f"^the stream: expected .*{message}"):
        parse(data)


def test_a_promise_in_the_header_allocates_nothing():
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(DataError, match="found only 2"):
        parse(header(0x08, 2**18, 2**18) + b"12")
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_read_idx_knows_compression_by_content(tmp_path, pack):
    array = np.arange(12, dtype=np.int16).reshape(3, 4)
    path = tmp_path / "no-suffix"
    path.write_bytes(pack(idx_bytes(array)))
    np.testing.assert_array_equal(read_idx(path), array)
    np.testing.assert_array_equal(read_idx(str(path)), array)


def test_read_idx_returns_a_writable_array_of_its_own(tmp_path):
    path = tmp_path / "a.idx"
    path.write_bytes(idx_bytes(np.zeros(3, np.uint8)))
    array = read_idx(path)
    array[0] = 9
    assert array.flags.c_contiguous
    assert read_idx(path)[0] == 0


def test_read_idx_without_a_file(tmp_path):
    path = tmp_path / "missing.gz"
    with pytest.raises(DataError, match=rf"{re.escape(str(path))}: .*found none\. Check the path"):
        read_idx(path)


def test_read_idx_of_a_folder(tmp_path):
    with pytest.raises(DataError, match="expected a readable file, found Is a directory"):
        read_idx(tmp_path)


def test_every_kind_of_gzip_damage_is_refused(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, 3000).astype(np.uint8)
    whole = gzip.compress(idx_bytes(array))
    path = tmp_path / "packed.idx.gz"
    cut = [whole[:at] for at in (2, 5, 12, 40, len(whole) // 2, len(whole) - 1)]
    bad_checksum = whole[:-8] + bytes(4) + whole[-4:]
    bad_length = whole[:-1] + b"\x7f"
    bad_block = whole[:10] + b"\xff" * 50 + whole[60:]
    for damaged in [*cut, bad_checksum, bad_length, bad_block, whole + b"garbage"]:
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="expected a whole gzip file, found a damaged one"):
            read_idx(path)


def test_the_hash_is_that_of_the_unpacked_file(tmp_path):
    data = idx_bytes(np.arange(5, dtype=np.uint8))
    path = tmp_path / "a.idx.gz"
    path.write_bytes(gzip.compress(data))
    assert read_idx(path, sha256=hashlib.sha256(data).hexdigest()).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(DataError, match=r"expected SHA-256 00.* found [0-9a-f]{64}.*delete it"):
        read_idx(path, sha256="00" * 32)


def test_data_error_is_a_graphnn_error_and_a_value_error():
    assert issubclass(DataError, GraphnnError)
    assert issubclass(DataError, ValueError)


# ------------------------------------------------------------------------------------- mnist10k


def test_mnist10k_shapes_dtypes_and_range():
    (x_train, y_train), (x_test, y_test) = datasets.mnist10k()
    assert x_train.shape == (8000, 784)
    assert x_test.shape == (2000, 784)
    assert y_train.shape == (8000,)
    assert y_test.shape == (2000,)
    for x, y in [(x_train, y_train), (x_test, y_test)]:
        assert x.dtype == np.float32
        assert y.dtype == np.int64
        assert (x.min(), x.max()) == (0.0, 1.0)
        assert x.flags.c_contiguous
        assert set(y.tolist()) == set(range(10))


def test_mnist10k_holds_the_digits_in_equal_proportions():
    (_, y_train), (_, y_test) = datasets.mnist10k()
    test, train = np.bincount(y_test), np.bincount(y_train)
    assert (test + train).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    np.testing.assert_allclose(test, (test + train) / 5, atol=1)


def test_mnist10k_is_the_published_test_set_unchanged():
    folder = Path(datasets.__file__).parent
    md5 = {
        "mnist10k-images.idx3.gz": "2646ac647ad5339dbf082846283269ea",
        "mnist10k-labels.idx1.gz": "27ae3e4e09519cfbb04c329615203637",
    }
    for name, expected in md5.items():
        unpacked = gzip.decompress((folder / name).read_bytes())
        assert hashlib.md5(unpacked, usedforsecurity=False).hexdigest() == expected


def test_mnist10k_splits_the_published_test_set_in_two():
    shipped = read_idx(Path(datasets.__file__).parent / "mnist10k-images.idx3.gz")
    (x_train, _), (x_test, _) = datasets.mnist10k()
    together = np.concatenate([x_train, x_test])
    rows = np.rint(together * 255).astype(np.uint8)
    assert sorted(map(bytes, rows)) == sorted(map(bytes, shipped.reshape(-1, 784)))


def test_mnist10k_as_images_in_nchw():
    (flat, _), _ = datasets.mnist10k()
    (images, _), (test_images, _) = datasets.mnist10k(flatten=False)
    assert images.shape == (8000, 1, 28, 28)
    assert test_images.shape == (2000, 1, 28, 28)
    np.testing.assert_array_equal(images.reshape(8000, 784), flat)


# ------------------------------------------------------------------------------------- mnist

IMAGES = np.random.default_rng(1).integers(0, 256, (6, 28, 28)).astype(np.uint8)
DIGITS = np.arange(6, dtype=np.uint8)
FILES = {
    "train-images-idx3-ubyte": idx_bytes(IMAGES),
    "train-labels-idx1-ubyte": idx_bytes(DIGITS),
    "t10k-images-idx3-ubyte": idx_bytes(IMAGES[:2]),
    "t10k-labels-idx1-ubyte": idx_bytes(DIGITS[:2]),
}


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder of this machine to this machine, and remembers what it was asked for."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        super().do_GET()


@pytest.fixture
def server(tmp_path):
    """Serve tmp_path/served, which holds a small MNIST, on the loopback interface."""
    served = tmp_path / "served"
    served.mkdir()
    for name, data in FILES.items():
        (served / f"{name}.gz").write_bytes(gzip.compress(data))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=served)) as server:
        server.asked = []
        server.folder = served
        server.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def small_mnist(monkeypatch, tmp_path):
    """Make `mnist` expect the small files, in an empty data home."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}
    monkeypatch.setattr(datasets, "_MNIST_SHA256", hashes)
    monkeypatch.setenv("GRAPHNN_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "home" / "mnist"


@pytest.fixture
def mirror(server, small_mnist, monkeypatch):
    monkeypatch.setattr(datasets, "_MNIST_MIRRORS", (server.url,))
    return server


def assert_small_mnist(parts):
    (x_train, y_train), (x_test, y_test) = parts
    np.testing.assert_array_equal(x_train, IMAGES.reshape(6, 784).astype(np.float32) / 255)
    np.testing.assert_array_equal(x_test, x_train[:2])
    assert y_train.tolist() == [0, 1, 2, 3, 4, 5]
    assert y_test.tolist() == [0, 1]


def test_mnist_in_full(monkeypatch):
    home = os.environ.get("GRAPHNN_DATA_HOME")
    if not home or not Path(home, "mnist").is_dir():
        pytest.skip("GRAPHNN_DATA_HOME does not name a folder that holds 'mnist'")
    monkeypatch.setenv("GRAPHNN_DATA_HOME", home)
    (x_train, y_train), (x_test, y_test) = datasets.mnist(flatten=False)
    assert x_train.shape == (60000, 1, 28, 28)
    assert x_test.shape == (10000, 1, 28, 28)
    assert y_train[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert y_test[:8].tolist() == [7, 2, 1, 0, 4, 1, 4, 9]
    assert round(float(x_train.mean()), 4) == 0.1307  # the mean that everyone normalises by
    assert x_train.dtype == np.float32
    assert y_train.dtype == np.int64


@pytest.mark.parametrize("packed", [True, False])
def test_mnist_reads_what_is_in_the_data_home(small_mnist, monkeypatch, packed):
    monkeypatch.setattr(datasets, "_MNIST_MIRRORS", ())
    small_mnist.mkdir(parents=True)
    for name, data in FILES.items():
        path = small_mnist / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(data) if packed else data)
    assert_small_mnist(datasets.mnist())


def test_mnist_is_downloaded_once(mirror, small_mnist):
    assert_small_mnist(datasets.mnist())
    assert_small_mnist(datasets.mnist())
    assert sorted(mirror.asked) == sorted(f"/{name}.gz" for name in FILES)
    assert {path.name: path.read_bytes() for path in small_mnist.iterdir()} == FILES


def test_a_second_mirror_serves_when_the_first_does_not(mirror, small_mnist, monkeypatch):
    mirrors = ("http://127.0.0.1:9/", f"{mirror.url}no-such-folder/", mirror.url)
    monkeypatch.setattr(datasets, "_MNIST_MIRRORS", mirrors)
    assert_small_mnist(datasets.mnist())


def test_off_line_says_what_to_do_and_hides_the_network_stack(small_mnist, monkeypatch):
    monkeypatch.setattr(datasets, "_MNIST_MIRRORS", ("http://127.0.0.1:9/",))
    message = (
        r"train-images-idx3-ubyte: expected to find this file or to download it, found neither:"
        r"\s+http://127.0.0.1:9/train-images-idx3-ubyte.gz: ConnectionRefusedError: [^\n]*\n"
        r"Get on-line.*GRAPHNN_DATA_HOME.*mnist10k"
    )
    with pytest.raises(DataError, match=message) as caught:
        datasets.mnist()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert list(small_mnist.iterdir()) == []


@pytest.mark.parametrize(
    ("served", "reason"),
    [
        (gzip.compress(FILES["train-images-idx3-ubyte"])[:-20], "EOFError"),
        (b"<html>Please sign in to this network</html>", "BadGzipFile"),
        (gzip.compress(FILES["train-labels-idx1-ubyte"]), "ValueError: SHA256 hash"),
        (None, "HTTPError: 404"),
    ],
    ids=["cut short", "a sign-in page", "another file", "not there"],
)
def test_a_bad_download_leaves_nothing_behind(mirror, small_mnist, served, reason):
    packed = mirror.folder / "train-images-idx3-ubyte.gz"
    if served is None:
        packed.unlink()
    else:
        packed.write_bytes(served)
    with pytest.raises(DataError, match=rf"{reason}.*\nGet on-line"):
        datasets.mnist()
    assert list(small_mnist.iterdir()) == []


def test_a_damaged_file_in_the_data_home_is_an_error_not_a_reason_to_download(mirror, small_mnist):
    small_mnist.mkdir(parents=True)
    (small_mnist / "train-images-idx3-ubyte").write_bytes(FILES["train-images-idx3-ubyte"][:-3])
    with pytest.raises(DataError, match=r"home/mnist/train-images-idx3-ubyte: .*found only"):
        datasets.mnist()
    (small_mnist / "train-images-idx3-ubyte").write_bytes(FILES["t10k-images-idx3-ubyte"])
    with pytest.raises(DataError, match=r"expected SHA-256 .* delete it and fetch it again"):
        datasets.mnist()
    assert mirror.asked == []


def test_downloads_at_the_same_time_do_not_disturb_each_other(mirror, small_mnist):
    with ThreadPoolExecutor(4) as pool:
        for parts in pool.map(lambda _: datasets.mnist(), range(4)):
            assert_small_mnist(parts)
    assert {path.name: path.read_bytes() for path in small_mnist.iterdir()} == FILES


def test_a_data_home_that_cannot_be_made(mirror, small_mnist):
    small_mnist.parent.write_text("a file, not a folder")
    with pytest.raises(DataError, match=r"home/mnist: expected a folder to download into, found"):
        datasets.mnist()


def test_a_read_only_data_home(mirror, small_mnist, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # for root may write anywhere
    with pytest.raises(DataError, match=r"found a read-only one\.\nGet on-line.*GRAPHNN_DATA_HOME"):
        datasets.mnist()
    assert mirror.asked == []


def test_download_keeps_a_right_file_and_replaces_a_wrong_one(server, tmp_path):
    name = "t10k-labels-idx1-ubyte"
    path, sha256 = tmp_path / name, hashlib.sha256(FILES[name]).hexdigest()
    urls = [f"{server.url}{name}.gz"]
    path.write_bytes(FILES[name])
    assert download_unpacked(urls, path, sha256=sha256) == path
    assert server.asked == []
    path.write_bytes(b"half-writ")
    download_unpacked(urls, path, sha256=sha256)
    assert path.read_bytes() == FILES[name]


# -------------------------------------------------------------------------------------- NYSE

DAYS = b"""date,day_of_week,DJ_return,log_volume,log_volatility,train
1979-12-31,mon,-0.5,0.25,-13.5,TRUE
1980-01-02,wed,0.125,-0.75,-12.0,FALSE
"""


@pytest.fixture
def small_nyse(server, monkeypatch, tmp_path):
    """Make `nyse` expect a small file, served on the loopback interface, in an empty data home."""
    (server.folder / "NYSE.csv").write_bytes(DAYS)
    monkeypatch.setattr(datasets, "_NYSE_SHA256", hashlib.sha256(DAYS).hexdigest())
    monkeypatch.setattr(datasets, "_NYSE_MIRRORS", (f"{server.url}NYSE.csv",))
    monkeypatch.setenv("GRAPHNN_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "home" / "isl" / "NYSE.csv"


def test_nyse_is_downloaded_once(small_nyse, server):
    for _ in range(2):
        days = datasets.nyse()
    assert server.asked == ["/NYSE.csv"]
    assert small_nyse.read_bytes() == DAYS
    assert days["date"].tolist() == [datetime.date(1979, 12, 31), datetime.date(1980, 1, 2)]
    assert days["day_of_week"].tolist() == [0, 2]
    assert days["DJ_return"].tolist() == [-0.5, 0.125]
    assert days["log_volume"].tolist() == [0.25, -0.75]
    assert days["log_volatility"].tolist() == [-13.5, -12.0]
    assert days["train"].tolist() == [True, False]


def test_nyse_off_line_and_damaged(small_nyse, monkeypatch):
    monkeypatch.setattr(datasets, "_NYSE_MIRRORS", ("http://127.0.0.1:9/NYSE.csv",))
    with pytest.raises(DataError, match=r"NYSE.csv: expected to find(?s:.*)\nGet on-line.*'isl'"):
        datasets.nyse()
    small_nyse.write_bytes(DAYS[:-3])
    with pytest.raises(DataError, match=r"expected the NYSE.csv of the package ISLP, found anoth"):
        datasets.nyse()


def test_nyse_in_full():
    home = os.environ.get("GRAPHNN_DATA_HOME")
    if not home or not Path(home, "isl").is_dir():
        pytest.skip("GRAPHNN_DATA_HOME does not name a folder that holds 'isl'")
    days = datasets.nyse()
    assert len(days["date"]) == 6051
    assert np.all(np.diff(days["date"]) > np.timedelta64(0))
    assert int(days["train"].sum()) == 4281
    weekday = (days["date"].astype(int) + 3) % 7  # the epoch began on a Thursday
    np.testing.assert_array_equal(days["day_of_week"], weekday)


# -------------------------------------------------------------------------- other small tables

CUSTOMERS = b"default,student,balance,income\nNo,Yes,729.5,44361.5\nYes,No,817.25,12106.0\n"
MAILS = b"0,0.64,3.5,61,1\r\n0.21,0,1.25,5,0\r\n"


@pytest.fixture
def small_table(server, monkeypatch, tmp_path):
    """Make a reader expect a small file, served on the loopback interface."""

    def make(name, content):
        key = f"_{name.partition('.')[0].upper()}"
        (server.folder / name).write_bytes(content)
        monkeypatch.setattr(datasets, f"{key}_SHA256", hashlib.sha256(content).hexdigest())
        monkeypatch.setattr(datasets, f"{key}_MIRRORS", (f"{server.url}{name}",))
        return tmp_path / "home"

    monkeypatch.setenv("GRAPHNN_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return make


def test_default_is_downloaded_once(small_table, server):
    home = small_table("Default.csv", CUSTOMERS)
    for _ in range(2):
        customers = datasets.default()
    assert server.asked == ["/Default.csv"]
    assert (home / "isl" / "Default.csv").read_bytes() == CUSTOMERS
    assert {name: column.tolist() for name, column in customers.items()} == {
        "default": [False, True],
        "student": [True, False],
        "balance": [729.5, 817.25],
        "income": [44361.5, 12106.0],
    }


def test_spambase_with_and_without_a_row_of_names(small_table, server):
    home = small_table("spambase.data", MAILS)
    for names in (b"", b"make,address,longest,total,result\r\n"):
        x, y = datasets.spambase()
        assert x.tolist() == [[0, 0.64, 3.5, 61], [0.21, 0, 1.25, 5]]
        assert (y.dtype, y.tolist()) == (np.int64, [1, 0])
        (home / "esl" / "spambase.data").write_bytes(names + MAILS)
    assert server.asked == ["/spambase.data"]
    (home / "esl" / "spambase.data").write_bytes(MAILS[:-4])
    with pytest.raises(DataError, match=r"expected the spambase.data of the UCI repository, found"):
        datasets.spambase()


def test_default_and_spambase_in_full():
    home = os.environ.get("GRAPHNN_DATA_HOME")
    if not home or not Path(home, "isl").is_dir() or not Path(home, "esl").is_dir():
        pytest.skip("GRAPHNN_DATA_HOME does not name a folder that holds 'isl' and 'esl'")
    customers = datasets.default()
    assert (len(customers["default"]), int(customers["default"].sum())) == (10_000, 333)
    x, y = datasets.spambase()
    assert (x.shape, int(y.sum())) == ((4601, 57), 1813)


def test_the_data_home_is_the_variable_else_the_user_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GRAPHNN_DATA_HOME", str(tmp_path))
    assert datasets.data_home() == tmp_path
    monkeypatch.setenv("GRAPHNN_DATA_HOME", "~/data")
    assert datasets.data_home() == Path.home() / "data"
    for unset in (lambda name: monkeypatch.setenv(name, ""), monkeypatch.delenv):
        unset("GRAPHNN_DATA_HOME")
        assert datasets.data_home().parts[-2:] == ("graphnn", "data")
