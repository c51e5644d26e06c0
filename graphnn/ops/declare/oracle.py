"""NumPy references of scalar formulas: what the tests hold an elementwise op's kernel to."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.source import MATH_FUNCTIONS, NUMPY_NAMES, Body

_IN_NUMPY = {theirs: ours for ours, theirs in NUMPY_NAMES.items()}
_FUNCTIONS = {f: getattr(np, _IN_NUMPY.get(f, f)) for f in MATH_FUNCTIONS - {"erf"}}
_FUNCTIONS["erf"] = math.erf  # NumPy has none, and importing scipy.special takes 100 ms


def reference_of(body: Body) -> Callable[..., NDArray[Any]]:
    """The scalar function itself, an element at a time in float64, by the rules of IEEE."""
    formula = cache(lambda: _formula(body))  # made when it is first called: few ever are

    def reference(*arrays: NDArray[Any], **_attrs: Any) -> NDArray[Any]:
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
        rows = zip(*(_flat(a, shape) for a in arrays), strict=True)
        with np.errstate(all="ignore"):
            values = [formula()(*row) for row in rows]
        return np.array(values).reshape(shape)

    return reference


def _formula(body: Body) -> Callable[..., Any]:
    names: dict[str, Any] = {f"{name}_f64": function for name, function in _FUNCTIONS.items()}
    names |= {"float64": np.float64, "INF": np.inf, "NAN": np.nan}
    for name, callee in body.all_callees():
        exec(callee.definition(callee.symbol(name, "float64"), "float64"), names)
    exec(body.definition("formula", "float64"), names)
    made: Callable[..., Any] = names["formula"]
    return made


def _flat(array: NDArray[Any], shape: tuple[int, ...]) -> list[Any]:
    wide = np.broadcast_to(array, shape).ravel()
    return list(wide if wide.dtype == bool else wide.astype(np.float64))


def reference_from(function: Callable[..., Any]) -> Callable[..., NDArray[Any]]:
    """A NumPy function that ignores attributes."""

    def reference(*arrays: NDArray[Any], **_attrs: Any) -> NDArray[Any]:
        return np.asarray(function(*arrays))

    return reference


class _Special:
    """``scipy.special``, imported when a reference is called: 100 ms that no training needs."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def function(*arrays: NDArray[Any]) -> Any:
            from scipy import special as found  # noqa: PLC0415 - see above

            return getattr(found, name)(*arrays)

        return function


special = _Special()
