"""BLAS by address: SciPy's own, one thread a call; graphnn's own threads share the work."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from numba.extending import get_cython_function_address

_FUNCTIONS = {"float32": "sgemm", "float64": "dgemm"}


@cache
def gemm_address(dtype: str) -> int:
    """The address of ``sgemm`` or ``dgemm`` (Fortran calling convention, 32-bit integers)."""
    return int(get_cython_function_address("scipy.linalg.cython_blas", _FUNCTIONS[dtype]))


@cache
def _libraries() -> list[Any]:
    import scipy.linalg.cython_blas  # noqa: F401, PLC0415 - heavy: when first needed
    from threadpoolctl import ThreadpoolController  # noqa: PLC0415 - scans the loaded libraries

    found = ThreadpoolController().select(user_api="blas").lib_controllers
    # Wheels bring one each: NumPy's, of the same name, lies in a folder of its own.
    ours = [library for library in found if "scipy" in os.path.dirname(library.filepath)]
    return ours or list(found)


def description() -> str:
    """Which BLAS it is, and for which processor its kernels are."""
    return "; ".join(
        f"{lib.internal_api} {lib.version} ({getattr(lib, 'architecture', 'unknown core')})"
        for lib in _libraries()
    )


_guard = threading.Lock()
_users = 0
_before: list[int] = []


@contextmanager
def single_threaded() -> Iterator[None]:
    """BLAS calls made inside run on the calling thread; afterwards all is as it was."""
    global _users, _before
    with _guard:
        if _users == 0:
            _before = [library.get_num_threads() for library in _libraries()]
            _change([1] * len(_before))
        _users += 1
    try:
        yield
    finally:
        with _guard:
            _users -= 1
            if _users == 0:
                _change(_before)


def _change(counts: list[int]) -> None:
    if any(
        before != 1 for before in _before
    ):  # else they are what they shall be, inside and afterwards
        _set(counts)


def _set(counts: list[int]) -> None:
    for library, count in zip(_libraries(), counts, strict=True):
        # threadpoolctl 3.8 lets only the first Python thread that ever set OpenBLAS's count
        # set it again, and ignores the others: here the last user restores it, whoever that is.
        # So nobody is in control before, nor after.
        release = getattr(library, "clear_controlling_thread", None)
        if release is not None:
            release(force=True)
        library.set_num_threads(count)
        if release is not None:
            release(force=True)
