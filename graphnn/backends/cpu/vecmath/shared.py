"""What the vectorisable functions share: compile options, and numbers as float32."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

_OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "fastmath": {"contract"},
    "forceinline": True,
    "_nrt": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
compiled: Callable[[Callable[..., Any]], Callable[..., Any]] = njit(**_OPTIONS)

ZERO, ONE, TWO, HALF = np.float32(0), np.float32(1), np.float32(2), np.float32(0.5)
INF_F32, NAN_F32 = np.float32(math.inf), np.float32(math.nan)

# ln 2 in two parts: the high one has few bits, so that n * high is exact.
LN2_HIGH_F32 = np.float32(0.693359375)
LN2_LOW_F32 = np.float32(math.log(2) - 0.693359375)
LN2_HIGH_F64 = float.fromhex("0x1.62e42fefa3800p-1")
LN2_LOW_F64 = 5.497923018708371e-14
# Added to a small number, 1.5 · 2^23 (2^52) leaves no bits behind the point: the sum is rounded to
# a whole number, which stands in its last bits. No conversion, and nan stays well defined.
ROUND_F32, ROUND_F64 = np.float32(1.5 * 2.0**23), 1.5 * 2.0**52
ROUND_BITS_F32 = int(np.float32(ROUND_F32).view(np.int32))
ROUND_BITS_F64 = int(np.float64(ROUND_F64).view(np.int64))
