"""``log`` and ``log1p``."""

from __future__ import annotations

import math

import numpy as np

from graphnn.backends.cpu.intrinsics import (
    bits_f32,
    bits_f64,
    float_of_bits_f32,
    float_of_bits_f64,
)
from graphnn.backends.cpu.vecmath.shared import (
    HALF,
    INF_F32,
    LN2_HIGH_F32,
    LN2_HIGH_F64,
    LN2_LOW_F32,
    LN2_LOW_F64,
    NAN_F32,
    ONE,
    ROUND_BITS_F64,
    ROUND_F64,
    TWO,
    ZERO,
    compiled,
)

# The series of 2 atanh(s), its first term left out.
_ATANH = [2 / (2 * i + 1) for i in range(1, 11)]
(A1, A2, A3, A4) = (np.float32(c) for c in _ATANH[:4])
(B1, B2, B3, B4, B5, B6, B7, B8, B9, B10) = _ATANH
TINY_F32, BIG_F32 = np.float32(2.0**-126), np.float32(2.0**24)
SQRT2_F32 = np.float32(math.sqrt(2))


@compiled
def log_f32(x):  # type: ignore[no-untyped-def]
    tiny = x < TINY_F32
    scaled = x * BIG_F32 if tiny else x
    bits = bits_f32(scaled)
    e = np.int32((bits >> np.int32(23)) - np.int32(127))
    m = float_of_bits_f32((bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000))
    high = m > SQRT2_F32
    m = m * HALF if high else m
    n = np.float32(np.int32(e + (np.int32(1) if high else np.int32(0))))
    n = n - np.float32(24) if tiny else n
    f = m - ONE
    s = f / (TWO + f)
    z = s * s
    series = z * (A1 + z * (A2 + z * (A3 + z * A4)))
    square = HALF * f * f
    # log(1 + f) = f - (f²/2 - s (f²/2 + series)): the large part stays exact.
    value = n * LN2_HIGH_F32 + (f - (square - (s * (square + series) + n * LN2_LOW_F32)))
    value = x if x == INF_F32 else value
    value = -INF_F32 if x == ZERO else value
    return value if x >= ZERO else NAN_F32


@compiled
def log_f64(x):  # type: ignore[no-untyped-def]
    tiny = x < 2.2250738585072014e-308
    scaled = x * 18014398509481984.0 if tiny else x
    bits = bits_f64(scaled)
    e = (bits >> 52) - 1023
    m = float_of_bits_f64((bits & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000)
    high = m > 1.4142135623730951
    m = m * 0.5 if high else m
    # The same trick backwards: few machines turn 64-bit whole numbers into floats by the vector.
    n = float_of_bits_f64(e + (1 if high else 0) + ROUND_BITS_F64) - ROUND_F64
    n = n - 54.0 if tiny else n
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    p = B9 + z * B10
    p = B8 + z * p
    p = B7 + z * p
    p = B6 + z * p
    p = B5 + z * p
    p = B4 + z * p
    p = B3 + z * p
    p = B2 + z * p
    series = z * (B1 + z * p)
    square = 0.5 * f * f
    value = n * LN2_HIGH_F64 + (f - (square - (s * (square + series) + n * LN2_LOW_F64)))
    value = x if x == math.inf else value
    value = -math.inf if x == 0.0 else value
    return value if x >= 0.0 else math.nan


@compiled
def log1p_f32(x):  # type: ignore[no-untyped-def]
    u = ONE + x
    # What was lost in that sum; d ln u = du / u.
    lost = (ONE - (u - x) if x >= ONE else x - (u - ONE)) / u
    bits = bits_f32(u)
    e = np.int32((bits >> np.int32(23)) - np.int32(127))
    m = float_of_bits_f32((bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000))
    high = m > SQRT2_F32
    m = m * HALF if high else m
    n = np.float32(np.int32(e + (np.int32(1) if high else np.int32(0))))
    f = m - ONE
    s = f / (TWO + f)
    z = s * s
    series = z * (A1 + z * (A2 + z * (A3 + z * A4)))
    square = HALF * f * f
    rest = s * (square + series) + (n * LN2_LOW_F32 + lost)
    value = n * LN2_HIGH_F32 + (f - (square - rest))
    value = x if x == INF_F32 else value
    value = -INF_F32 if x == -ONE else value
    return value if x >= -ONE else NAN_F32


@compiled
def log1p_f64(x):  # type: ignore[no-untyped-def]
    u = 1.0 + x
    lost = (1.0 - (u - x) if x >= 1.0 else x - (u - 1.0)) / u
    bits = bits_f64(u)
    e = (bits >> 52) - 1023
    m = float_of_bits_f64((bits & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000)
    high = m > 1.4142135623730951
    m = m * 0.5 if high else m
    n = float_of_bits_f64(e + (1 if high else 0) + ROUND_BITS_F64) - ROUND_F64
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    p = B9 + z * B10
    p = B8 + z * p
    p = B7 + z * p
    p = B6 + z * p
    p = B5 + z * p
    p = B4 + z * p
    p = B3 + z * p
    p = B2 + z * p
    series = z * (B1 + z * p)
    square = 0.5 * f * f
    rest = s * (square + series) + (n * LN2_LOW_F64 + lost)
    value = n * LN2_HIGH_F64 + (f - (square - rest))
    value = x if x == math.inf else value
    value = -math.inf if x == -1.0 else value
    return value if x >= -1.0 else math.nan
