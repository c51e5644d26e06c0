"""BLAS by address: SciPy's own, one thread a call; graphnn's threads share the work among themselves."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from llvmlite import binding as llvm
from numba.extending import get_cython_function_address

_AVX512 = ("avx512f", "avx512bw", "avx512dq", "avx512vl")
_FUNCTIONS = {"float32": "sgemm", "float64": "dgemm"}


@cache
def gemm_address(dtype: str) -> int:
    """The address of ``sgemm`` or ``dgemm`` (Fortran calling convention, 32-bit integers)."""
    _load()
    return int(get_cython_function_address("scipy.linalg.cython_blas", _FUNCTIONS[dtype]))


@cache
def _load() -> None:
    """Load SciPy's BLAS, with kernels that use the machine's full width.

    OpenBLAS 0.3.30 takes processors that it does not know (AMD Zen 5) for AVX2 machines and then
    runs at half their speed: 113-121 instead of 199-224 GFLOP/s a core. Its documented variable
    OPENBLAS_CORETYPE says otherwise; it counts only while the library loads, is left alone where
    the user set it, and is taken back afterwards.
    """
    wide = all(llvm.get_host_cpu_features().get(name) for name in _AVX512)
    if wide and "OPENBLAS_CORETYPE" not in os.environ and "scipy.linalg" not in sys.modules:
        os.environ["OPENBLAS_CORETYPE"] = "SkylakeX"
        try:
            import scipy.linalg.cython_blas  # noqa: PLC0415 - only after the variable is set
        finally:
            del os.environ["OPENBLAS_CORETYPE"]
    else:
        import scipy.linalg.cython_blas  # noqa: F401, PLC0415 - heavy: when first needed


@cache
def _libraries() -> list[Any]:
    from threadpoolctl import ThreadpoolController  # noqa: PLC0415 - scans the loaded libraries

    _load()
    found = ThreadpoolController().select(user_api="blas").lib_controllers
    ours = [library for library in found if "scipy" in os.path.basename(library.filepath)]
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
            _set([1] * len(_before))
        _users += 1
    try:
        yield
    finally:
        with _guard:
            _users -= 1
            if _users == 0:
                _set(_before)


def _set(counts: list[int]) -> None:
    for library, count in zip(_libraries(), counts, strict=True):
        if library.get_num_threads() != count:
            library.set_num_threads(count)
