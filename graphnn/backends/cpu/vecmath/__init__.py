"""Elementary functions that vectorise: straight-line code, no table, no call, no branch.

numba's wheels carry no vector library, so ``math.exp`` in a loop runs an element at a time. These
run as wide as the machine. Errors are in units in the last place, held to against mpmath by
``tests/test_vecmath.py``; in brackets the largest that was measured with fused multiply-add:

============  =============  =============  ==================================================
function      float32        float64        method
============  =============  =============  ==================================================
``exp``       <= 1.5 (1.01)  <= 1.5 (0.97)  Cody-Waite reduction to ln2/2 at most, Taylor
``log``       <= 1.0 (0.81)  <= 1.0 (0.82)  x = 2^e m, series of atanh((m-1)/(m+1))
``tanh``      <= 2.0 (1.34)  <= 2.0 (1.34)  Lambert's continued fraction; 1 - 2/(e^2x + 1)
``expm1``     <= 2.0 (1.37)  <= 2.0 (1.82)  as exp: 2^n ((e^r - 1) + (1 - 2^-n))
``log1p``     <= 1.5 (0.83)  <= 1.5 (0.83)  as log, with what 1 + x lost added behind
``sin``       <= 2.0 (1.42)  libm's         Payne-Hanek reduction, exact for every argument; Taylor
``cos``       <= 2.0 (1.46)  libm's         the same, a quarter of a turn further
``erf``       <= 1.5 (1.16)  <= 1.5 (0.93)  Maclaurin's series; 1 - e^-h, h a fitted polynomial
============  =============  =============  ==================================================

Special values follow C99: exp(-inf) = 0, log(0) = -inf, log(-1) = nan, tanh(inf) = 1, nan stays
nan; only the sign of a zero is not kept. The rest (``pow``, ``tan``, ...) are numba's, by name, so
that a kernel has one vocabulary; a loop with one of them runs an element at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from graphnn.backends.cpu import intrinsics
from graphnn.backends.cpu.vecmath import circular, error_function, exponential, logarithm
from graphnn.backends.cpu.vecmath.shared import compiled

__all__ = ["FUNCTIONS"]


def _numbas(name: str) -> Callable[..., Any]:
    """A function of ``math``, as numba compiles it."""
    function = getattr(math, name)
    if name in ("pow", "atan2", "copysign"):

        def two(a, b):  # type: ignore[no-untyped-def]
            return function(a, b)

        return compiled(two)

    def one(x):  # type: ignore[no-untyped-def]
        return function(x)

    return compiled(one)


_OWN = {
    exponential: ("exp", "expm1", "tanh"),
    logarithm: ("log", "log1p"),
    error_function: ("erf",),
    intrinsics: ("floor", "ceil", "trunc", "rint"),
}
_NUMBAS = (
    *("sqrt", "tan", "fabs", "pow", "atan", "atan2", "sinh", "cosh", "asin", "acos"),
    *("isnan", "isinf", "isfinite", "copysign", "log2", "log10"),
)
_WIDTHS = ("f32", "f64")
FUNCTIONS: dict[str, Callable[..., Any]] = {
    f"{name}_{width}": getattr(room, f"{name}_{width}")
    for room, names in _OWN.items()
    for name in names
    for width in _WIDTHS
}
FUNCTIONS |= {"sin_f32": circular.sin_f32, "cos_f32": circular.cos_f32}
FUNCTIONS |= {"sin_f64": _numbas("sin"), "cos_f64": _numbas("cos")}
FUNCTIONS |= {f"{name}_{width}": _numbas(name) for name in _NUMBAS for width in _WIDTHS}
