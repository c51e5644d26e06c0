"""Fetch a file once; one that is gzip-compressed is kept unpacked."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import textwrap
import zlib
from collections.abc import Sequence
from pathlib import Path

from graphnn.errors import DataError


def download_unpacked(urls: Sequence[str], path: Path, *, sha256: str, packed: bool = True) -> Path:
    """Download a file from the first address that serves it, and keep it unpacked at `path`.

    The content is written to a temporary file in the same folder, checked, and only then given its
    name. So a broken download leaves nothing behind that could be taken for the file, and
    processes that download it at the same time only do the work twice.

    Parameters
    ----------
    urls : sequence of str
        Addresses of the same file, in the order in which to try them.
    path : Path
        Where the unpacked file goes. Its folder is made if need be. A file that is already there
        and has the right hash is kept.
    sha256 : str
        Hexadecimal SHA-256 of the *unpacked* file.
    packed : bool, default True
        Whether the addresses serve it gzip-compressed.

    Returns
    -------
    Path
        `path`, made absolute.

    Raises
    ------
    DataError
        If the folder can't be written to, or no address serves the right content.
    """
    import pooch  # noqa: PLC0415 - 30 ms, which only a download should cost

    _check_writable(path.parent)
    failures = []
    for url in urls:
        try:
            fetched = pooch.retrieve(
                url,
                known_hash=f"sha256:{sha256}",
                fname=path.name,
                path=path.parent,
                downloader=_fetch_and_unpack if packed else pooch.HTTPDownloader(),
            )
            return Path(fetched)
        # All that a network, a mirror or a disk can do: requests' errors are OSErrors, and a
        # wrong hash is a ValueError of pooch.
        except (OSError, EOFError, ValueError, zlib.error) as error:
            failures.append(f"\n  {url}: {_root_cause(error)}")
    raise DataError(
        f"{path}: expected to find this file or to download it, found neither:{''.join(failures)}"
    )


def _root_cause(error: BaseException) -> str:
    """Say in one line what lies at the bottom of `error`: not "max retries", but "no route"."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return textwrap.shorten(f"{type(error).__name__}: {error}", width=160)


def _check_writable(folder: Path) -> None:
    """Make `folder`; raise if nothing can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: expected a folder to download into, found {error}.") from None
    if not os.access(folder, os.W_OK):
        raise DataError(f"{folder}: expected a folder to download into, found a read-only one.")


def _fetch_and_unpack(url: str, output_file: str, _pooch: object) -> None:
    """Be pooch's downloader: leave in `output_file` what is packed at `url`."""
    import pooch  # noqa: PLC0415 - see download_unpacked

    packed = io.BytesIO()
    pooch.HTTPDownloader()(url, packed, None)
    packed.seek(0)
    with gzip.GzipFile(fileobj=packed) as unpacked, Path(output_file).open("wb") as file:
        shutil.copyfileobj(unpacked, file)
