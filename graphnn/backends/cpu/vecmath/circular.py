"""``sin`` and ``cos`` of float32, exact in their reduction for every argument.

M. H. Payne, R. N. Hanek, *Radian reduction for trigonometric functions* (SIGNUM, 1983): with
|x| = m 2^e, the bits of 2/π that stand for whole turns of m 2^e 2/π are left out, and the product
of m with the next 96 is x in turns, modulo 1. That is integer arithmetic without a branch.

In float64 the same takes a dozen products, and is no faster than libm's: there they are numba's.
"""

from __future__ import annotations

import math

import numpy as np

from graphnn.backends.cpu.intrinsics import bits_f32
from graphnn.backends.cpu.vecmath.shared import HALF, INF_F32, NAN_F32, ONE, ZERO, compiled

# 2/π with 32 zeros in front: 256 bits, enough for the largest float32.
_BITS = 0xA2F9836E4E441529FC2757D1F534DDC0DB6295993C439041FE5163AB
W0, W1, W2, W3 = (np.uint64((_BITS >> shift) & (2**64 - 1)) for shift in (192, 128, 64, 0))
U1, U32, U62, U63 = (np.uint64(n) for n in (1, 32, 62, 63))
MANTISSA, LEADING = np.int32(0x7FFFFF), np.int32(0x800000)
EIGHTH_OF_A_TURN = np.uint64(2**61)
# A turn is 2^64: 2π/2^26 and 2π/2^50 take its upper 26 bits, and the 24 below, to radians.
UPPER = np.float32(2 * math.pi / 2**26)
UPPER_REST = np.float32(2 * math.pi / 2**26 - float(UPPER))
LOWER = np.float32(2 * math.pi / 2**50)
FEW, MOVED_BACK = 2**40, np.float32(2.0**-22)
QUARTER_PI = np.float32(math.pi / 4)
# Taylor's series, after x and after 1 - x²/2.
S1, S2, S3, S4 = (np.float32((-1) ** k / math.factorial(2 * k + 1)) for k in range(1, 5))
C2, C3, C4, C5 = (np.float32((-1) ** k / math.factorial(2 * k)) for k in range(2, 6))


@compiled
def _turns(size):  # type: ignore[no-untyped-def]
    """``size`` in turns, modulo 1, as a fraction of 2^64; size >= 1/2."""
    bits = bits_f32(size)
    exponent = bits >> np.int32(23)
    exponent = exponent if exponent > np.int32(126) else np.int32(126)
    exponent = exponent if exponent < np.int32(254) else np.int32(254)
    m = np.uint64((bits & MANTISSA) | LEADING)
    start = np.uint64(exponent - np.int32(120))
    first, second = start < np.uint64(64), start < np.uint64(128)
    a = W0 if first else (W1 if second else W2)
    b = W1 if first else (W2 if second else W3)
    c = W2 if first else (W3 if second else np.uint64(0))
    left = start & U63
    right = U63 - left
    high = (a << left) | ((b >> U1) >> right)
    low = (b << left) | ((c >> U1) >> right)
    return m * high + ((m * (low >> U32)) >> U32)


@compiled
def _wave(x, quarter, sign):  # type: ignore[no-untyped-def]
    """The sine of ``|x|`` moved on by ``quarter`` quarters of a turn, times ``sign``."""
    size = math.fabs(x)
    turns = _turns(size)
    q = (turns + EIGHTH_OF_A_TURN) >> U62
    rest = np.int64(turns - (q << U62))
    # Next to a multiple of π/2 only the last bits are left: they are moved up, to lose none.
    few = rest < FEW and rest > -FEW
    rest = rest << 22 if few else rest
    upper = np.float32(np.int32(rest >> 38))
    lower = np.float32(np.int32((rest >> 14) & 0xFFFFFF))
    reduced = upper * UPPER + (upper * UPPER_REST + lower * LOWER)
    reduced = reduced * MOVED_BACK if few else reduced
    near = size < QUARTER_PI
    r = size if near else reduced
    place = (np.int32(0) if near else np.int32(q)) + quarter
    z = r * r
    sine = r + r * z * (S1 + z * (S2 + z * (S3 + z * S4)))
    half = HALF * z
    w = ONE - half
    cosine = w + (((ONE - w) - half) + z * z * (C2 + z * (C3 + z * (C4 + z * C5))))
    value = cosine if (place & np.int32(1)) != np.int32(0) else sine
    value = -value if (place & np.int32(2)) != np.int32(0) else value
    return value * sign if size < INF_F32 else NAN_F32


@compiled
def sin_f32(x):  # type: ignore[no-untyped-def]
    return _wave(x, np.int32(0), -ONE if x < ZERO else ONE)


@compiled
def cos_f32(x):  # type: ignore[no-untyped-def]
    return _wave(x, np.int32(1), ONE)
