"""From a kernel's source to its address. Every compile option is decided here.

A kernel is a C function; it is called by address from the executor. Compiled code is looked up in
this process, then in the cache on disk, then made.
"""

from __future__ import annotations

import gc
import hashlib
import linecache
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache as once
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from llvmlite import binding as llvm
from numba import types
from numba.core.registry import cpu_target

from graphnn.backends.cpu import apart, cache, intrinsics, team, vecmath
from graphnn.errors import KernelError

_HERE = Path(__file__).parent
# No reassociation: the error bounds of vecmath depend on the order of operations.
FASTMATH = frozenset({"contract", "nsz"})
# No reference counting: kernels own no memory, and cached code must not need numba's runtime.
OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "fastmath": set(FASTMATH),
    "boundscheck": False,
    "_nrt": False,
}
# Functions that only kernels call need no entry from Python: half of their compile time.
BARE: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}

_addresses: dict[str, int] = {}
_libraries: list[Any] = []  # keeps the code in memory
_lock = threading.Lock()
counts = {"compiled": 0, "loaded": 0, "unwritten": 0}


def kernel_address(source: str, name: str, signature: str = "kernel") -> int:
    """The address of the compiled function ``name`` that ``source`` defines.

    Parameters
    ----------
    source
        Python text that defines ``name``; see :mod:`graphnn.backends.cpu.kernels`.
    signature
        ``"kernel"``: void (data, meta, lane, lanes), all int64; ``"executor"``: int64 (job,
        thread, threads).

    Raises
    ------
    KernelError
        If numba cannot compile it; shows the source.
    """
    key = _key(source, signature)
    with _lock:
        if key not in _addresses:
            made = _whole(lambda: _loaded(key) or _compiled(source, name, signature, key))
            _addresses[key] = made
        return _addresses[key]


def _whole(compiling: Callable[[], int]) -> int:
    """What it returns; Ctrl-C, which only the main thread gets, is raised behind it.

    Numba learns what arrays and functions are piece by piece as it first compiles. Torn out of that
    it knows one half until the process ends, and every kernel fails.
    """
    found: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        return compiling()
    team.run(lambda _number, _size: found.append(compiling()), 1, None, lambda: None)
    return found[0]


def processor() -> str:
    """The host as LLVM knows it, and the widest vectors that it has."""
    features = llvm.get_host_cpu_features()
    wide = next(
        (n for n in ("avx512f", "avx2", "avx", "sse2", "neon") if features.get(n)), "scalar"
    )
    return f"{llvm.get_host_cpu_name()}, {wide}"


@once
def _salt() -> str:
    """What compiled code depends on besides its source."""
    rooms = [_HERE / "intrinsics.py", _HERE / "apart.py", *sorted((_HERE / "vecmath").glob("*.py"))]
    support = [room.read_text() for room in rooms]
    facts = [
        numba.__version__,
        llvmlite.__version__,
        np.__version__,
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
        *(f"{k}={sorted(v) if isinstance(v, set) else v}" for k, v in sorted(OPTIONS.items())),
        *support,
    ]
    return "\n".join(str(fact) for fact in facts)


def _key(source: str, signature: str) -> str:
    return hashlib.sha256("\n".join([signature, _salt(), source]).encode()).hexdigest()[:40]


def _loaded(key: str) -> int:
    """The address of a kernel from the cache on disk, or 0."""
    entry = cache.load(key)
    if entry is None:
        return 0
    state = (entry.library, "object", (entry.object_code, entry.bitcode))
    try:
        library = _codegen().unserialize_library(state)
        address = int(library.get_pointer_to_function(entry.symbol))
    except (RuntimeError, ValueError, OSError):
        return 0  # not code that this LLVM reads: compile it again
    _libraries.append(library)
    counts["loaded"] += bool(address)
    return address


def _codegen() -> Any:
    return cpu_target.target_context.codegen()


def _compiled(source: str, name: str, signature: str, key: str) -> int:
    # The name of the symbol carries the hash: two kernels never share one (numba issue 10486).
    unique = f"{name}_{key[:16]}"
    file = f"<graphnn kernel {unique}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    given = namespace()
    names = dict(given)
    try:
        exec(compile(source, file, "exec"), names)
        function = names.pop(name)
        if name in given:  # a user's op may be called "share"; inside, the word keeps its meaning
            names[name] = given[name]
        function.__name__ = function.__qualname__ = unique
        with _collector_paused():
            made: Any = numba.cfunc(_signature(signature), **OPTIONS)(function)
    except Exception as error:
        raise KernelError(_explained(name, source, error)) from None
    library = made._library
    label, _kind, (object_code, bitcode) = library.serialize_using_object_code()
    entry = cache.Entry(made.native_name, label, bytes(object_code), bytes(bitcode))
    counts["compiled"] += 1
    counts["unwritten"] += not cache.store(key, entry)
    _libraries.append(made)
    return int(made.address)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No collection inside: among the millions of objects that numba makes it takes a fifth."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _explained(name: str, source: str, error: Exception) -> str:
    """What numba said, without its stack, below the source."""
    said = [line for line in str(error).splitlines() if line.strip()]
    return "\n".join([f"{name}: numba cannot compile this kernel:", source, *said[:12]])


def _signature(kind: str) -> Any:
    if kind == "executor":
        return types.int64(types.int64, types.int64, types.int64)
    return types.void(types.int64, types.int64, types.int64, types.int64)


def namespace() -> dict[str, Any]:
    """The names that generated source may use."""
    return {
        **{k: v for k, v in vars(intrinsics).items() if not k.startswith("_")},
        **{k: v for k, v in vars(apart).items() if k.startswith("apart_")},
        **vecmath.FUNCTIONS,
        "helper": numba.njit(**OPTIONS, **BARE, forceinline=True),  # a call stops the vectoriser
        "float32": np.float32,
        "float64": np.float64,
        "int64": np.int64,
        "int32": np.int32,
        "uint8": np.uint8,
        "INF": math.inf,
        "NAN": math.nan,
    }
