"""Elementary functions of one or two variables, beyond those of arithmetic.

Formulas and derivatives: Abramowitz, Stegun, *Handbook of Mathematical Functions*, ch. 4 and 7.
"""

from __future__ import annotations

import math

import numpy as np

from graphnn.ops.declare.elementwise import elementwise
from graphnn.ops.declare.oracle import special
from graphnn.ops.elementwise.arithmetic import ARITHMETIC

__all__ = [
    "arccos",
    "arcsin",
    "arctan",
    "arctan2",
    "cosh",
    "erf",
    "expm1",
    "log1p",
    "log2",
    "log10",
    "rsqrt",
    "sinh",
    "tan",
]

LN2, LN10 = math.log(2), math.log(10)
TWO_BY_ROOT_PI = 2 / math.sqrt(math.pi)


@elementwise(
    domain=[(0.1, 4.0)],
    reference=lambda x: 1 / np.sqrt(x),
    formula="1 / √x",
    color=ARITHMETIC,
)
def rsqrt(x):  # type: ignore[no-untyped-def]
    """The reciprocal of the root.

    >>> gn.function([], gn.rsqrt([4.0, 0.25]))()
    array([0.5, 2. ], dtype=float32)
    """
    return 1 / math.sqrt(x)


@rsqrt.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return -0.5 * dy * y * y * y


@elementwise(domain=[(-0.9, 4.0)], reference=np.log1p, formula="ln(1 + x)", color=ARITHMETIC)
def log1p(x):  # type: ignore[no-untyped-def]
    """Exact also for small x, where 1 + x rounds to 1.

    >>> gn.function([], gn.log1p([1e-9, 1.0]))()
    array([1.000000e-09, 6.931472e-01], dtype=float32)
    """
    return math.log1p(x)


@log1p.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy / (1 + x)


@elementwise(reference=np.expm1, formula="eˣ - 1", color=ARITHMETIC)
def expm1(x):  # type: ignore[no-untyped-def]
    """Exact also for small x, where eˣ rounds to 1.

    >>> gn.function([], gn.expm1([1e-9, 1.0]))()
    array([9.9999997e-10, 1.7182817e+00], dtype=float32)
    """
    return math.expm1(x)


@expm1.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy * (y + 1)


@elementwise(domain=[(0.1, 4.0)], reference=np.log2, formula="log₂ x", color=ARITHMETIC)
def log2(x):  # type: ignore[no-untyped-def]
    """The logarithm to base 2; -inf at 0, and nan below.

    >>> gn.function([], gn.log2([8.0, 0.0]))()
    array([  3., -inf], dtype=float32)
    """
    return math.log2(x)


@log2.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy / (x * LN2)


@elementwise(domain=[(0.1, 4.0)], reference=np.log10, formula="log₁₀ x", color=ARITHMETIC)
def log10(x):  # type: ignore[no-untyped-def]
    """The logarithm to base 10; -inf at 0, and nan below.

    >>> gn.function([], gn.log10([100.0, 0.0]))()
    array([  2., -inf], dtype=float32)
    """
    return math.log10(x)


@log10.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy / (x * LN10)


@elementwise(reference=np.sinh, formula="(eˣ - e⁻ˣ) / 2", color=ARITHMETIC)
def sinh(x):  # type: ignore[no-untyped-def]
    """The hyperbolic sine.

    >>> gn.function([], gn.sinh([0.0, 1.0]))()
    array([0.       , 1.1752012], dtype=float32)
    """
    return math.sinh(x)


@sinh.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy * math.cosh(x)


@elementwise(reference=np.cosh, formula="(eˣ + e⁻ˣ) / 2", color=ARITHMETIC)
def cosh(x):  # type: ignore[no-untyped-def]
    """The hyperbolic cosine.

    >>> gn.function([], gn.cosh([0.0, 1.0]))()
    array([1.       , 1.5430806], dtype=float32)
    """
    return math.cosh(x)


@cosh.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy * math.sinh(x)


@elementwise(domain=[(-1.2, 1.2)], reference=np.tan, formula="tan x", color=ARITHMETIC)
def tan(x):  # type: ignore[no-untyped-def]
    """Of an angle in radians.

    >>> gn.function([], gn.tan([0.0, 0.5]))()
    array([0.       , 0.5463025], dtype=float32)
    """
    return math.tan(x)


@tan.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy * (1 + y * y)


@elementwise(reference=np.arctan, formula="arctan x", color=ARITHMETIC)
def arctan(x):  # type: ignore[no-untyped-def]
    """The angle in [-π/2, π/2] of which x is the tangent.

    >>> gn.function([], gn.arctan([0.0, 1.0, np.inf]))()
    array([0.       , 0.7853982, 1.5707964], dtype=float32)
    """
    return math.atan(x)


@arctan.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy / (1 + x * x)


@elementwise(
    domain=[(-2, 2, 0), (-2, 2, 0)],
    reference=np.arctan2,
    formula="the angle of (b, a)",
    color=ARITHMETIC,
)
def arctan2(a, b):  # type: ignore[no-untyped-def]
    """The angle of the point with ordinate a and abscissa b, in (-π, π].

    >>> gn.function([], gn.arctan2([1.0, -1.0], [0.0, -1.0]))()
    array([ 1.5707964, -2.3561945], dtype=float32)
    """
    return math.atan2(a, b)


@arctan2.backward
def _(dy, a, b, y):  # type: ignore[no-untyped-def]
    square = a * a + b * b
    return dy * b / square, -dy * a / square


@elementwise(domain=[(-0.9, 0.9)], reference=np.arcsin, formula="arcsin x", color=ARITHMETIC)
def arcsin(x):  # type: ignore[no-untyped-def]
    """The angle in [-π/2, π/2] of which x is the sine; nan beyond ±1.

    >>> gn.function([], gn.arcsin([1.0, 0.0, 2.0]))()
    array([1.5707964, 0.       ,       nan], dtype=float32)
    """
    return math.asin(x)


@arcsin.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy / math.sqrt((1 - x) * (1 + x))


@elementwise(domain=[(-0.9, 0.9)], reference=np.arccos, formula="arccos x", color=ARITHMETIC)
def arccos(x):  # type: ignore[no-untyped-def]
    """The angle in [0, π] of which x is the cosine; nan beyond ±1.

    >>> gn.function([], gn.arccos([1.0, 0.0, 2.0]))()
    array([0.       , 1.5707964,       nan], dtype=float32)
    """
    return math.acos(x)


@arccos.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return -dy / math.sqrt((1 - x) * (1 + x))


@elementwise(reference=special.erf, formula="2/√π ∫₀ˣ exp(-t²) dt", color=ARITHMETIC)
def erf(x):  # type: ignore[no-untyped-def]
    """The error function: how much of a normal distribution lies within √2 x deviations.

    >>> gn.function([], gn.erf([0.0, 1.0]))()
    array([0.        , 0.84270084], dtype=float32)
    """
    return math.erf(x)


@erf.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy * TWO_BY_ROOT_PI * math.exp(-x * x)
