"""The data sets that graphnn's examples learn from, images in Keras' form: (train), (test).

`mnist10k` comes with the package. The others are looked for in the data home, which is the folder
named by the environment variable ``GRAPHNN_DATA_HOME``, else ``data`` in the user's cache folder,
and are downloaded into it once if they are not there. Every file is checked by hash at every
reading, so a result can always be traced to the data it came from.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.resources
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import platformdirs
from numpy.typing import NDArray

from graphnn.data.download import download_unpacked
from graphnn.data.idx import read_idx
from graphnn.errors import DataError

Part: TypeAlias = tuple[NDArray[np.float32], NDArray[np.int64]]

# SHA-256 of the unpacked files, for every mirror compresses them in its own way.
_MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
_MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_ISLP = (
    "https://raw.githubusercontent.com/intro-stat-learning/ISLP/main/ISLP/data/",
    "https://raw.githubusercontent.com/jonathan-taylor/ISLP/"
    "5ec6be74b50ae8fc59ed0a18e1981756088c12a9/ISLP/data/",
)
_NYSE_SHA256 = "4bb3e2e9872b2f7e6e8701afb8873cd9f4b7e66ee0b1ba62c116ff2b3a2eec60"
_NYSE_MIRRORS = tuple(f"{mirror}NYSE.csv" for mirror in _ISLP)
_DEFAULT_SHA256 = "d113590204485565bdd692b2d8430e7c2fcc72ec323df92314a745c99a0eefe9"
_DEFAULT_MIRRORS = tuple(f"{mirror}Default.csv" for mirror in _ISLP)
# The file of UCI, which has no first row of names; a copy with one is taken, too.
_SPAMBASE_SHA256 = "b1ef93de71f97714d3d7d4f58fc9f718da7bbc8ac8a150eff2778616a8097b12"
_SPAMBASE_MIRRORS = (
    "https://archive.ics.uci.edu/ml/machine-learning-databases/spambase/spambase.data",
)
_DAYS = ("mon", "tues", "wed", "thur", "fri")


def mnist10k(*, flatten: bool = True) -> tuple[Part, Part]:
    """Load the 10,000 MNIST test images that come with graphnn, split 8,000/2,000.

    The split is fixed: sort the images by digit, keeping the file's order within a digit, and
    every fifth is a test image. So both parts hold the digits in the same proportions (to one
    image), and the clean first half of the file and its harder second half too. Within each part
    the images are in the file's order.

    A test error on these 2,000 images is not one of the published MNIST figures. Those are errors
    on all 10,000, after training on the 60,000 others: see `mnist`.

    Parameters
    ----------
    flatten : bool, default True
        Images as vectors (n, 784); if False, as one-channel images (n, 1, 28, 28), NCHW.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        `x` is float32, grey values in [0, 1], the background 0; `y` is int64 (n,), the digits 0–9.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document
    recognition", Proceedings of the IEEE 86(11), 1998. The data: CC BY-SA 3.0.

    Examples
    --------
    >>> (x_train, y_train), (x_test, y_test) = mnist10k()
    >>> x_train.shape, y_train.shape, x_test.shape, y_test.shape
    ((8000, 784), (8000,), (2000, 784), (2000,))
    """
    pixels = _read_shipped("mnist10k-images.idx3.gz", _MNIST_SHA256["t10k-images-idx3-ubyte"])
    digits = _read_shipped("mnist10k-labels.idx1.gz", _MNIST_SHA256["t10k-labels-idx1-ubyte"])
    is_test = np.zeros(len(digits), dtype=bool)
    is_test[np.argsort(digits, kind="stable")[4::5]] = True
    return (
        _part(pixels[~is_test], digits[~is_test], flatten),
        _part(pixels[is_test], digits[is_test], flatten),
    )


def mnist(*, flatten: bool = True) -> tuple[Part, Part]:
    """Load MNIST: 60,000 handwritten digits to train on, 10,000 to test on.

    The four files are read from the folder ``mnist`` of the data home, packed (``.gz``) or not:
    ``$GRAPHNN_DATA_HOME/mnist`` if that variable is set, else ``data/mnist`` in the user's cache
    folder for graphnn. A file that isn't there is downloaded into that folder (11 MB in all), once.

    Parameters
    ----------
    flatten : bool, default True
        Images as vectors (n, 784); if False, as one-channel images (n, 1, 28, 28), NCHW.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        `x` is float32, grey values in [0, 1], the background 0; `y` is int64 (n,), the digits 0–9.

    Raises
    ------
    DataError
        If a file is neither there nor to be had from a mirror, or isn't the published one.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document
    recognition", Proceedings of the IEEE 86(11), 1998. The data: CC BY-SA 3.0.

    Examples
    --------
    As it may have to download, this example is not run as a test::

        (x_train, y_train), (x_test, y_test) = gn.datasets.mnist()
        x_train.shape, x_test.shape  # (60000, 784), (10000, 784)
    """
    folder = data_home() / "mnist"
    train_pixels, train_digits, test_pixels, test_digits = (
        _read_or_download(name, folder, sha256) for name, sha256 in _MNIST_SHA256.items()
    )
    return (
        _part(train_pixels, train_digits, flatten),
        _part(test_pixels, test_digits, flatten),
    )


def nyse() -> dict[str, NDArray[Any]]:
    """Load the New York Stock Exchange's 6,051 trading days from December 1962 to December 1986.

    The file is read from ``isl/NYSE.csv`` in the data home (see `mnist`), and downloaded into it
    once (0.4 MB) if it isn't there.

    Returns
    -------
    dict of array
        A row a day, in order of time: `date` (datetime64[D]), `day_of_week` (int64, Monday 0 to
        Friday 4), the float64 columns `DJ_return` (the Dow Jones' log return), `log_volume` (of
        shares traded, relative to a 100-day moving average) and `log_volatility`, and `train`
        (bool), the book's split: up to the end of 1979, 4,281 days.

    Raises
    ------
    DataError
        If the file is neither there nor to be had from a mirror, or isn't the published one.

    References
    ----------
    B. LeBaron, A. Weigend, "A bootstrap evaluation of the effect of data splitting on financial
    time series", IEEE Transactions on Neural Networks 9(1), 1998; as in G. James, D. Witten,
    T. Hastie, R. Tibshirani, *An Introduction to Statistical Learning*, 2nd ed., section 10.5.2,
    from its package ISLP (BSD-3).

    Examples
    --------
    As it may have to download, this example is not run as a test::

        days = gn.datasets.nyse()
        days["log_volume"].shape  # (6051,)
    """
    content = _published("isl/NYSE.csv", _NYSE_MIRRORS, _NYSE_SHA256, "of the package ISLP")
    rows = list(csv.DictReader(content.decode("ascii").splitlines()))
    floats = ("DJ_return", "log_volume", "log_volatility")
    return {
        "date": np.array([row["date"] for row in rows], "datetime64[D]"),
        "day_of_week": np.array([_DAYS.index(row["day_of_week"]) for row in rows]),
        **{name: np.array([float(row[name]) for row in rows]) for name in floats},
        "train": np.array([row["train"] == "TRUE" for row in rows]),
    }


def default() -> dict[str, NDArray[Any]]:
    """Load the credit card defaults of ISL: 10,000 simulated customers, of whom 333 default.

    The file is read from ``isl/Default.csv`` in the data home (see `mnist`), and downloaded into
    it once (0.4 MB) if it isn't there.

    Returns
    -------
    dict of array
        A row a customer: `default` and `student` (bool), `balance` after the monthly payment and
        `income` (float64, dollars).

    Raises
    ------
    DataError
        If the file is neither there nor to be had from a mirror, or isn't the published one.

    References
    ----------
    G. James, D. Witten, T. Hastie, R. Tibshirani, *An Introduction to Statistical Learning*,
    2nd ed., section 4.1, from its package ISLP (BSD-3).

    Examples
    --------
    As it may have to download, this example is not run as a test::

        customers = gn.datasets.default()
        customers["default"].mean()  # 0.0333
    """
    source = "of the package ISLP"
    content = _published("isl/Default.csv", _DEFAULT_MIRRORS, _DEFAULT_SHA256, source)
    rows = list(csv.DictReader(content.decode("ascii").splitlines()))
    return {
        **{name: np.array([row[name] == "Yes" for row in rows]) for name in ("default", "student")},
        **{name: np.array([float(row[name]) for row in rows]) for name in ("balance", "income")},
    }


def spambase() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Load Spambase: 4,601 e-mails, told by 57 numbers, of which 1,813 are spam.

    The file is read from ``esl/spambase.data`` in the data home (see `mnist`), and downloaded into
    it once (0.7 MB) if it isn't there.

    Returns
    -------
    x, y
        `x` is float64 (4601, 57): how often 48 words and 6 characters come, in percent, then the
        mean length of runs of capitals, the longest, and their sum; `y` is int64, spam 1.

    Raises
    ------
    DataError
        If the file is neither there nor to be had from UCI, or isn't the published one.

    References
    ----------
    M. Hopkins, E. Reeber, G. Forman, J. Suermondt, "Spambase", UCI Machine Learning Repository,
    1999 (CC BY 4.0); in T. Hastie, R. Tibshirani, J. Friedman, *The Elements of Statistical
    Learning*, 2nd ed., section 9.1.2.

    Examples
    --------
    As it may have to download, this example is not run as a test::

        x, y = gn.datasets.spambase()
        x.shape, y.mean()  # (4601, 57), 0.394
    """
    source = "of the UCI repository"
    content = _published("esl/spambase.data", _SPAMBASE_MIRRORS, _SPAMBASE_SHA256, source)
    lines = content.decode("ascii").split()
    table = np.array([[float(number) for number in line.split(",")] for line in lines])
    return table[:, :-1], table[:, -1].astype(np.int64)


def _published(place: str, mirrors: Sequence[str], sha256: str, source: str) -> bytes:
    """The content of a file of the data home, downloaded if need be; a row of names is left out."""
    path = data_home() / place
    if not path.exists():
        try:
            download_unpacked(mirrors, path, sha256=sha256, packed=False)
        except DataError as error:
            raise DataError(
                f"{error}\nGet on-line and try again, or put {path.name} into a folder "
                f"{path.parent.name!r} and set GRAPHNN_DATA_HOME to the folder that holds it."
            ) from None
    content = path.read_bytes()
    for found in (content, content.partition(b"\n")[2]):
        if hashlib.sha256(found).hexdigest() == sha256:
            return found
    raise DataError(f"{path}: expected the {path.name} {source}, found another file.")


def data_home() -> Path:
    """Return the folder in which graphnn looks for data sets, and into which it downloads them.

    Returns
    -------
    Path
        ``$GRAPHNN_DATA_HOME`` if set and not empty, else ``data`` in the user's cache folder for
        graphnn (on Linux ``~/.cache/graphnn/data``). It need not exist.
    """
    if home := os.environ.get("GRAPHNN_DATA_HOME"):
        return Path(home).expanduser()
    return platformdirs.user_cache_path("graphnn", appauthor=False) / "data"


def _read_shipped(name: str, sha256: str) -> NDArray[Any]:
    """Read an IDX file that lies beside this module in the package."""
    with importlib.resources.as_file(importlib.resources.files("graphnn.data") / name) as path:
        return read_idx(path, sha256=sha256)


def _read_or_download(name: str, folder: Path, sha256: str) -> NDArray[Any]:
    """Read `folder`/`name`.gz or `folder`/`name`; download the latter if there is neither."""
    for path in (folder / f"{name}.gz", folder / name):
        if path.exists():
            return read_idx(path, sha256=sha256)
    urls = [f"{mirror}{name}.gz" for mirror in _MNIST_MIRRORS]
    try:
        path = download_unpacked(urls, folder / name, sha256=sha256)
    except DataError as error:
        raise DataError(
            f"{error}\nGet on-line and try again, or put the four MNIST files into a folder "
            "'mnist' and set GRAPHNN_DATA_HOME to the folder that holds it. "
            "gn.datasets.mnist10k() needs no download."
        ) from None
    return read_idx(path, sha256=sha256)


def _part(pixels: NDArray[np.uint8], digits: NDArray[np.uint8], flatten: bool) -> Part:
    """Turn bytes (n, 28, 28) and (n,) into float32 grey values in [0, 1] and int64 labels."""
    n, height, width = pixels.shape
    x = pixels.astype(np.float32) / np.float32(255)
    shape = (n, height * width) if flatten else (n, 1, height, width)
    return x.reshape(shape), digits.astype(np.int64)
