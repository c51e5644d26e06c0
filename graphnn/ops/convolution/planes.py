"""Windows over planes: where each begins and ends, and what the poolings share.

A plane is what the last two axes span. Windows stand ``s`` apart, from ``-p`` on, with ``k`` taps
``d`` apart; with ``s = 0`` they share the axis among them as evenly as they can: window i of n runs
from ⌊i size / n⌋ to ⌈(i + 1) size / n⌉.
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphnn.op import Mismatch
from graphnn.spec import FLOATS, Dim, DimLike, Shape, TensorSpec

POOLING = "#ddd6fe"


def begin(i, count, size, s, p, d):  # type: ignore[no-untyped-def]
    """The first element of window i of ``count``: the first tap that is no padding."""
    if s == 0:
        return i * size // count
    at = i * s - p
    return at if at >= 0 else at + (d - 1 - at) // d * d


def end(i, count, size, s, p, span):  # type: ignore[no-untyped-def]
    """The element behind the last one of window i."""
    if s == 0:
        return ((i + 1) * size + count - 1) // count
    return min(i * s - p + span, size)


def taps_of(size: int, places: int, k: int, s: int, p: int, d: int = 1) -> list[list[int]]:
    """The elements of an axis under each window."""
    if s == 0:
        return [[*range(i * size // places, -(-(i + 1) * size // places))] for i in range(places)]
    taps = [[i * s - p + t * d for t in range(k)] for i in range(places)]
    return [[tap for tap in window if 0 <= tap < size] for window in taps]


def planes_spec(x: TensorSpec, size: Shape) -> TensorSpec:
    if x.dtype not in FLOATS:
        raise Mismatch("float32 or float64", "Cast it: gn.cast(x, 'float32').", dtype=True)
    if x.ndim < 2:
        raise Mismatch("planes: at least two axes")
    return x.with_shape((*x.shape[:-2], *size))


def check_windows(plane: Shape, windows: Shape, attrs: Mapping[str, int]) -> None:
    for axis, size, places in zip("hw", plane, windows, strict=True):
        if isinstance(size, Dim) or isinstance(places, Dim):
            raise Mismatch("planes of a size that is known")
        k, s, p = (attrs[name + axis] for name in "ksp")
        if not all(taps_of(size, places, k, s, p, attrs.get("d" + axis, 1))):
            raise Mismatch("an element of the plane in each window")


def looked_at(out: TensorSpec, x: TensorSpec, *, kh: int, kw: int, **_attrs: Any) -> DimLike:
    """An operation for each element under each window; where they share an axis, for each once."""
    return out.size * (kh * kw) if kh else x.size


def window_attrs(k: int, s: int, p: int, **more: int) -> dict[str, int]:
    return {"kh": k, "kw": k, "sh": s, "sw": s, "ph": p, "pw": p, **more}
