"""``exp``, ``expm1`` and ``tanh``."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from graphnn.backends.cpu.intrinsics import (
    bits_f32,
    bits_f64,
    float_of_bits_f32,
    float_of_bits_f64,
)
from graphnn.backends.cpu.vecmath.shared import (
    LN2_HIGH_F32,
    LN2_HIGH_F64,
    LN2_LOW_F32,
    LN2_LOW_F64,
    ONE,
    ROUND_BITS_F32,
    ROUND_BITS_F64,
    ROUND_F32,
    ROUND_F64,
    TWO,
    ZERO,
    compiled,
)


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


_TAYLOR = [1 / math.factorial(i) for i in range(15)]
(E2, E3, E4, E5, E6, E7, E8) = (np.float32(c) for c in _TAYLOR[2:9])
(D2, D3, D4, D5, D6, D7, D8, D9, D10, D11, D12, D13, D14) = _TAYLOR[2:]

# P / Q = 1 + (P - Q) / Q: the constant terms are equal, so that x + x (P - Q) / Q keeps x exact.
_p, _q = _lambert(5)
P1, P2 = (np.float32(p - q) for p, q in zip(_p[1:], _q[1:], strict=True))
Q0, Q1, Q2 = (np.float32(c) for c in _q)
_r, _s = _lambert(9)
R1, R2, R3, R4 = (float(r - s) for r, s in zip(_r[1:], _s[1:], strict=True))
S0, S1, S2, S3, S4 = (float(c) for c in _s)

LOG2E = 1 / math.log(2)
LOG2E_F32 = np.float32(LOG2E)
TOP_F32, BOTTOM_F32 = np.float32(89), np.float32(-104)
LAST_F32 = np.float32(-18)  # from here on down, eˣ - 1 rounds to -1
SMALL_F32 = np.float32(0.625)
MUCH_F32 = np.float32(80)


@compiled
def power_f32(x):  # type: ignore[no-untyped-def]
    """``eˣ = p 2ⁿ``: p and n."""
    shifted = x * LOG2E_F32 + ROUND_F32
    n = shifted - ROUND_F32
    r = (x - n * LN2_HIGH_F32) - n * LN2_LOW_F32
    p = E6 + r * E7
    p = E5 + r * p
    p = E4 + r * p
    p = E3 + r * p
    p = E2 + r * p
    p = ONE + (r + r * r * p)
    return p, np.int32(bits_f32(shifted) - ROUND_BITS_F32)


@compiled
def exp_f32(x):  # type: ignore[no-untyped-def]
    x = TOP_F32 if x > TOP_F32 else x
    x = BOTTOM_F32 if x < BOTTOM_F32 else x
    p, whole = power_f32(x)
    # 2^n in two factors, so that results reach down to the subnormals and up to infinity.
    half = np.int32(whole >> np.int32(1))
    scale = float_of_bits_f32((half + np.int32(127)) << np.int32(23))
    rest = float_of_bits_f32((whole - half + np.int32(127)) << np.int32(23))
    return p * scale * rest


@compiled
def power_f64(x):  # type: ignore[no-untyped-def]
    """``eˣ = p 2ⁿ``: p and n."""
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
    return p, bits_f64(shifted) - ROUND_BITS_F64


@compiled
def exp_f64(x):  # type: ignore[no-untyped-def]
    x = 710.0 if x > 710.0 else x
    x = -746.0 if x < -746.0 else x
    p, whole = power_f64(x)
    half = whole >> 1
    scale = float_of_bits_f64((half + 1023) << 52)
    rest = float_of_bits_f64((whole - half + 1023) << 52)
    return p * scale * rest


@compiled
def exp_to_f32(x):  # type: ignore[no-untyped-def]
    """Of x from 0 on, no more than e⁸⁰: 2ⁿ is one number there."""
    x = MUCH_F32 if x > MUCH_F32 else x
    p, whole = power_f32(x)
    return p * float_of_bits_f32((whole + np.int32(127)) << np.int32(23))


@compiled
def exp_to_f64(x):  # type: ignore[no-untyped-def]
    """Of x from 0 on, no more than e⁷⁰⁰."""
    x = 700.0 if x > 700.0 else x
    p, whole = power_f64(x)
    return p * float_of_bits_f64((whole + 1023) << 52)


@compiled
def expm1_f32(x):  # type: ignore[no-untyped-def]
    x = TOP_F32 if x > TOP_F32 else x
    x = LAST_F32 if x < LAST_F32 else x
    shifted = x * LOG2E_F32 + ROUND_F32
    n = shifted - ROUND_F32
    r = (x - n * LN2_HIGH_F32) - n * LN2_LOW_F32
    p = E7 + r * E8
    p = E6 + r * p
    p = E5 + r * p
    p = E4 + r * p
    p = E3 + r * p
    p = r + r * r * (E2 + r * p)
    # 2^n (1 + p) - 1 = 2^n (p + (1 - 2^-n)): without a loss, for 1 - 2^-n is exact or tends to 1.
    whole = np.int32(bits_f32(shifted) - ROUND_BITS_F32)
    low = whole if whole < np.int32(126) else np.int32(126)
    rest = ONE - float_of_bits_f32((np.int32(127) - low) << np.int32(23))
    half = np.int32(whole >> np.int32(1))
    scale = float_of_bits_f32((half + np.int32(127)) << np.int32(23))
    other = float_of_bits_f32((whole - half + np.int32(127)) << np.int32(23))
    return (p + rest) * scale * other


@compiled
def expm1_f64(x):  # type: ignore[no-untyped-def]
    x = 710.0 if x > 710.0 else x
    x = -38.0 if x < -38.0 else x
    shifted = x * LOG2E + ROUND_F64
    n = shifted - ROUND_F64
    r = (x - n * LN2_HIGH_F64) - n * LN2_LOW_F64
    p = D13 + r * D14
    p = D12 + r * p
    p = D11 + r * p
    p = D10 + r * p
    p = D9 + r * p
    p = D8 + r * p
    p = D7 + r * p
    p = D6 + r * p
    p = D5 + r * p
    p = D4 + r * p
    p = D3 + r * p
    p = r + r * r * (D2 + r * p)
    whole = bits_f64(shifted) - ROUND_BITS_F64
    low = whole if whole < 1022 else 1022
    rest = 1.0 - float_of_bits_f64((1023 - low) << 52)
    half = whole >> 1
    scale = float_of_bits_f64((half + 1023) << 52)
    other = float_of_bits_f64((whole - half + 1023) << 52)
    return (p + rest) * scale * other


# Two forms of one quotient, so that there is one division: x + x z P/Q near 0, and far from it
# ±(1 - 2/(e²ˣ + 1)).


@compiled
def tanh_f32(x):  # type: ignore[no-untyped-def]
    size = math.fabs(x)
    z = x * x
    grown = exp_to_f32(TWO * size) + ONE
    far = size >= SMALL_F32
    one = -ONE if x < ZERO else ONE
    top = x * (z * (P1 + z * P2))
    bottom = Q0 + z * (Q1 + z * Q2)
    whole = one if far else x
    top = -(one + one) if far else top
    bottom = grown if far else bottom
    return whole + top / bottom


@compiled
def tanh_f64(x):  # type: ignore[no-untyped-def]
    size = math.fabs(x)
    z = x * x
    grown = exp_to_f64(2.0 * size) + 1.0
    far = size >= 0.625
    one = -1.0 if x < 0.0 else 1.0
    top = x * (z * (R1 + z * (R2 + z * (R3 + z * R4))))
    bottom = S0 + z * (S1 + z * (S2 + z * (S3 + z * S4)))
    whole = one if far else x
    top = -(one + one) if far else top
    bottom = grown if far else bottom
    return whole + top / bottom
