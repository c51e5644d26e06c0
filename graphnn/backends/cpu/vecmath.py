"""Elementary functions that vectorise: straight-line code, no table, no call, no branch.

numba's wheels carry no vector library, so ``math.exp`` in a loop runs an element at a time. These
run as wide as the machine. Errors are in units in the last place, held to against mpmath by
``tests/test_vecmath.py``; in brackets the largest that was measured with fused multiply-add:

============  =============  =============  ==================================================
function      float32        float64        method
============  =============  =============  ==================================================
``exp``       <= 1.5 (1.01)  <= 1.5 (0.97)  Cody-Waite reduction to ln2/2 at most, Taylor
``log``       <= 1.0 (0.81)  <= 1.0 (0.82)  x = 2^e m, series of atanh((m-1)/(m+1))
``tanh``      <= 2.0 (1.34)  <= 2.0 (1.33)  Lambert's continued fraction; 1 - 2/(e^2x + 1)
============  =============  =============  ==================================================

Special values follow C99: exp(-inf) = 0, log(0) = -inf, log(-1) = nan, tanh(inf) = 1, nan stays
nan; only the sign of a zero is not kept. The rest (``sin``, ``pow``, ...) are numba's, by name, so
that a kernel has one vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from numba import njit

from graphnn.backends.cpu.intrinsics import (
    bits_f32,
    bits_f64,
    ceil_f32,
    ceil_f64,
    float_of_bits_f32,
    float_of_bits_f64,
    floor_f32,
    floor_f64,
    rint_f32,
    rint_f64,
    trunc_f32,
    trunc_f64,
)

_OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "fastmath": {"contract"},
    "forceinline": True,
    "_nrt": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
_compiled: Callable[[Callable[..., Any]], Callable[..., Any]] = njit(**_OPTIONS)


def _lambert(depth: int) -> tuple[list[int], list[int]]:
    """Numerator and denominator, in x², of x / (1 + x²/(3 + x²/(5 + ...))) cut at ``depth``.

    J. H. Lambert, *Mémoire sur quelques propriétés remarquables des quantités transcendantes*
    (1768).
    """
    top, bottom = [Fraction(2 * depth - 1)], [Fraction(1)]
    for odd in range(2 * depth - 3, 0, -2):
        # odd + x² / (top / bottom) = (odd * top + x² * bottom) / top
        wide = [Fraction(0), *bottom]
        longer = [odd * c for c in top] + [Fraction(0)] * (len(wide) - len(top))
        wide += [Fraction(0)] * (len(longer) - len(wide))
        top, bottom = [a + b for a, b in zip(longer, wide, strict=True)], top
    return [int(c) for c in bottom], [int(c) for c in top]


_TAYLOR = [1 / math.factorial(i) for i in range(14)]
_ATANH = [2 / (2 * i + 1) for i in range(1, 11)]

(E2, E3, E4, E5, E6, E7) = (np.float32(c) for c in _TAYLOR[2:8])
(D2, D3, D4, D5, D6, D7, D8, D9, D10, D11, D12, D13) = _TAYLOR[2:]
(A1, A2, A3, A4) = (np.float32(c) for c in _ATANH[:4])
(B1, B2, B3, B4, B5, B6, B7, B8, B9, B10) = _ATANH

# P / Q = 1 + (P - Q) / Q: the constant terms are equal, so that x + x (P - Q) / Q keeps x exact.
_p, _q = _lambert(5)
P1, P2 = (np.float32(p - q) for p, q in zip(_p[1:], _q[1:], strict=True))
Q0, Q1, Q2 = (np.float32(c) for c in _q)
_r, _s = _lambert(9)
R1, R2, R3, R4 = (float(r - s) for r, s in zip(_r[1:], _s[1:], strict=True))
S0, S1, S2, S3, S4 = (float(c) for c in _s)

LOG2E = 1 / math.log(2)
# ln 2 in two parts: the high one has few bits, so that n * high is exact.
LN2_HIGH_F32 = np.float32(0.693359375)
LN2_LOW_F32 = np.float32(math.log(2) - 0.693359375)
LN2_HIGH_F64 = float.fromhex("0x1.62e42fefa3800p-1")
LN2_LOW_F64 = 5.497923018708371e-14
ONE, TWO, HALF = np.float32(1), np.float32(2), np.float32(0.5)
LOG2E_F32 = np.float32(LOG2E)
# Added to a small number, 1.5 · 2^23 (2^52) leaves no bits behind the point: the sum is rounded to
# a whole number, which stands in its last bits. No conversion, and nan stays well defined.
ROUND_F32, ROUND_F64 = np.float32(1.5 * 2.0**23), 1.5 * 2.0**52
ROUND_BITS_F32 = int(np.float32(ROUND_F32).view(np.int32))
ROUND_BITS_F64 = int(np.float64(ROUND_F64).view(np.int64))
TOP_F32, BOTTOM_F32 = np.float32(89), np.float32(-104)
TINY_F32, BIG_F32 = np.float32(2.0**-126), np.float32(2.0**24)
ZERO_F32, INF_F32, NAN_F32 = np.float32(0), np.float32(math.inf), np.float32(math.nan)
SQRT2_F32 = np.float32(math.sqrt(2))
SMALL_F32 = np.float32(0.625)


@_compiled
def exp_f32(x):  # type: ignore[no-untyped-def]
    x = TOP_F32 if x > TOP_F32 else x
    x = BOTTOM_F32 if x < BOTTOM_F32 else x
    shifted = x * LOG2E_F32 + ROUND_F32
    n = shifted - ROUND_F32
    r = (x - n * LN2_HIGH_F32) - n * LN2_LOW_F32
    p = E6 + r * E7
    p = E5 + r * p
    p = E4 + r * p
    p = E3 + r * p
    p = E2 + r * p
    p = ONE + (r + r * r * p)
    # 2^n in two factors, so that results reach down to the subnormals and up to infinity.
    whole = np.int32(bits_f32(shifted) - ROUND_BITS_F32)
    half = np.int32(whole >> np.int32(1))
    scale = float_of_bits_f32((half + np.int32(127)) << np.int32(23))
    rest = float_of_bits_f32((whole - half + np.int32(127)) << np.int32(23))
    return p * scale * rest


@_compiled
def exp_f64(x):  # type: ignore[no-untyped-def]
    x = 710.0 if x > 710.0 else x
    x = -746.0 if x < -746.0 else x
    shifted = x * LOG2E + ROUND_F64
    n = shifted - ROUND_F64
    r = (x - n * LN2_HIGH_F64) - n * LN2_LOW_F64
    p = D12 + r * D13
    p = D11 + r * p
    p = D10 + r * p
    p = D9 + r * p
    p = D8 + r * p
    p = D7 + r * p
    p = D6 + r * p
    p = D5 + r * p
    p = D4 + r * p
    p = D3 + r * p
    p = D2 + r * p
    p = 1.0 + (r + r * r * p)
    whole = bits_f64(shifted) - ROUND_BITS_F64
    half = whole >> 1
    scale = float_of_bits_f64((half + 1023) << 52)
    rest = float_of_bits_f64((whole - half + 1023) << 52)
    return p * scale * rest


@_compiled
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
    value = -INF_F32 if x == ZERO_F32 else value
    return value if x >= ZERO_F32 else NAN_F32


@_compiled
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


@_compiled
def tanh_f32(x):  # type: ignore[no-untyped-def]
    size = math.fabs(x)
    z = x * x
    near = x + x * (z * (P1 + z * P2) / (Q0 + z * (Q1 + z * Q2)))
    far = ONE - TWO / (exp_f32(TWO * size) + ONE)
    far = -far if x < ZERO_F32 else far
    return near if size < SMALL_F32 else far


@_compiled
def tanh_f64(x):  # type: ignore[no-untyped-def]
    size = math.fabs(x)
    z = x * x
    top = z * (R1 + z * (R2 + z * (R3 + z * R4)))
    bottom = S0 + z * (S1 + z * (S2 + z * (S3 + z * S4)))
    near = x + x * (top / bottom)
    far = 1.0 - 2.0 / (exp_f64(2.0 * size) + 1.0)
    far = -far if x < 0.0 else far
    return near if size < 0.625 else far


def _numbas(name: str) -> Callable[..., Any]:
    """A function of ``math``, as numba compiles it."""
    function = getattr(math, name)
    if name in ("pow", "atan2", "copysign"):

        def two(a, b):  # type: ignore[no-untyped-def]
            return function(a, b)

        return _compiled(two)

    def one(x):  # type: ignore[no-untyped-def]
        return function(x)

    return _compiled(one)


_PLAIN = (
    "sqrt sin cos tan erf expm1 log1p fabs pow atan atan2 sinh cosh asin acos isnan isinf isfinite "
    "copysign log2 log10"
)
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp_f32": exp_f32,
    "exp_f64": exp_f64,
    "log_f32": log_f32,
    "log_f64": log_f64,
    "tanh_f32": tanh_f32,
    "tanh_f64": tanh_f64,
    "floor_f32": floor_f32,
    "floor_f64": floor_f64,
    "ceil_f32": ceil_f32,
    "ceil_f64": ceil_f64,
    "trunc_f32": trunc_f32,
    "trunc_f64": trunc_f64,
    "rint_f32": rint_f32,
    "rint_f64": rint_f64,
    **{f"{name}_{width}": _numbas(name) for name in _PLAIN.split() for width in ("f32", "f64")},
}
