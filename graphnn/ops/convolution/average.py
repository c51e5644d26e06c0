"""Averages of windows over planes, and their transpose: each is the gradient of the other."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.node import Node, apply
from graphnn.op import Draw, Example, Op, Rows, register
from graphnn.ops.convolution.planes import (
    POOLING,
    begin,
    check_windows,
    end,
    looked_at,
    planes_spec,
    taps_of,
    window_attrs,
)
from graphnn.ops.declare.tangents import linear
from graphnn.source import Body
from graphnn.spec import DimLike, Shape, TensorSpec

__all__: list[str] = []


def _extent(i, size, s, p, k):  # type: ignore[no-untyped-def]
    """How many elements and zeros of the padding window i holds."""
    return min(i * s - p + k, size + p) - (i * s - p)


def _count(i, j, height, width, rows, columns, kh, kw, sh, sw, ph, pw, whole, divisor):  # type: ignore[no-untyped-def]
    """By what the sum of window (i, j) of an average is divided."""
    if divisor > 0:
        return divisor
    if whole != 0:
        return _extent(i, height, sh, ph, kh) * _extent(j, width, sw, pw, kw)
    tall = end(i, rows, height, sh, ph, kh) - begin(i, rows, height, sh, ph, 1)
    return tall * (end(j, columns, width, sw, pw, kw) - begin(j, columns, width, sw, pw, 1))


def _average(start, stop, x, out, *, kh, kw, sh, sw, ph, pw, whole, divisor):  # type: ignore[no-untyped-def]
    height, width = x.shape[1], x.shape[2]
    rows, columns = out.shape[1], out.shape[2]
    for n in range(start, stop):
        for i in range(rows):
            top = begin(i, rows, height, sh, ph, 1)
            bottom = end(i, rows, height, sh, ph, kh)
            for j in range(columns):
                left = begin(j, columns, width, sw, pw, 1)
                right = end(j, columns, width, sw, pw, kw)
                total = 0.0
                for u in range(top, bottom):
                    for v in range(left, right):
                        total += x[n, u, v]
                out[n, i, j] = total / _count(
                    i, j, height, width, rows, columns, kh, kw, sh, sw, ph, pw, whole, divisor
                )


def _spread(start, stop, dy, out, *, kh, kw, sh, sw, ph, pw, whole, divisor):  # type: ignore[no-untyped-def]
    height, width = out.shape[1], out.shape[2]
    rows, columns = dy.shape[1], dy.shape[2]
    for n in range(start, stop):
        for u in range(height):
            for v in range(width):
                out[n, u, v] = 0
        for i in range(rows):
            top = begin(i, rows, height, sh, ph, 1)
            bottom = end(i, rows, height, sh, ph, kh)
            for j in range(columns):
                left = begin(j, columns, width, sw, pw, 1)
                right = end(j, columns, width, sw, pw, kw)
                part = dy[n, i, j] / _count(
                    i, j, height, width, rows, columns, kh, kw, sh, sw, ph, pw, whole, divisor
                )
                for u in range(top, bottom):
                    for v in range(left, right):
                        out[n, u, v] += part


def _windows_and_counts(
    plane: Sequence[int], windows: Sequence[int], *, kh: int, kw: int, sh: int, sw: int, ph: int,
    pw: int, whole: int, divisor: int,
) -> Iterator[tuple[int, int, Any, int]]:  # fmt: skip
    """For each window its place, the elements under it, and by what their sum is divided."""
    extents = []
    axes = zip(plane, windows, (kh, kw), (sh, sw), (ph, pw), strict=True)
    for size, places, k, s, p in axes:
        taps = taps_of(size, places, k, s, p)
        padded = [min(i * s - p + k, size + p) - (i * s - p) for i in range(places)]
        extents.append([*zip(taps, padded if whole else map(len, taps), strict=True)])
    for i, (rows, tall) in enumerate(extents[0]):
        for j, (columns, wide) in enumerate(extents[1]):
            yield i, j, (..., np.array(rows)[:, None], np.array(columns)), divisor or tall * wide


def _average_reference(x: NDArray[Any], *, size: Any, **window: int) -> NDArray[Any]:
    y = np.zeros((*x.shape[:-2], *size), x.dtype)
    for i, j, under, count in _windows_and_counts(x.shape[-2:], size, **window):
        y[..., i, j] = x[under].sum((-2, -1)) / count
    return y


def _spread_reference(dy: NDArray[Any], *, size: Any, **window: int) -> NDArray[Any]:
    x = np.zeros((*dy.shape[:-2], *size), dy.dtype)
    for i, j, under, count in _windows_and_counts(size, dy.shape[-2:], **window):
        x[under] += dy[..., i, j, None, None] / count
    return x


# The ops.


def _average_spec(x: TensorSpec, *, size: Shape, **window: int) -> TensorSpec:
    out = planes_spec(x, size)
    check_windows(x.shape[-2:], size, window)
    return out


def _spread_spec(dy: TensorSpec, *, size: Shape, **window: int) -> TensorSpec:
    out = planes_spec(dy, size)
    check_windows(size, dy.shape[-2:], window)
    return out


def _average_vjp(node: Node, dy: Node) -> list[Node | None]:
    return [apply(SPREAD, [dy], {**node.attrs, "size": node.inputs[0].spec.shape[-2:]})]


def _spread_vjp(node: Node, v: Node) -> list[Node | None]:
    return [apply(AVERAGE, [v], {**node.attrs, "size": node.inputs[0].spec.shape[-2:]})]


def _spread_flops(out: TensorSpec, dy: TensorSpec, **attrs: Any) -> DimLike:
    return looked_at(dy, out, **attrs)


def _average_examples(back: bool) -> tuple[Example, ...]:
    """The size of the planes, that of the result, and the window."""
    found = []
    for size, out, window, whole, divisor in (
        ((6, 6), (3, 3), (2, 2, 0), 1, 0),
        ((5, 7), (3, 4), (3, 2, 1), 1, 0),
        ((5, 7), (3, 4), (3, 2, 1), 0, 0),
        ((5, 7), (3, 4), (3, 2, 1), 0, 5),
        ((5, 7), (3, 4), (0, 0, 0), 0, 0),
    ):
        drawn, made = (out, size) if back else (size, out)
        attrs = {"size": made, **window_attrs(*window, whole=whole, divisor=divisor)}
        found.append(Example((Draw((2, 3, *drawn)),), attrs))
    return tuple(found)


AVERAGE = register(
    Op(
        name="avg_pool",
        spec=_average_spec,
        kernel=Rows(Body(_average), ("planes", "planes")),
        reference=_average_reference,
        vjp=_average_vjp,
        jvp=linear,
        flops=looked_at,
        examples=_average_examples(back=False),
        formula="Σ x / n of each window",
        color=POOLING,
    )
)
SPREAD = register(
    Op(
        name="avg_pool_transposed",
        spec=_spread_spec,
        kernel=Rows(Body(_spread), ("planes", "planes")),
        reference=_spread_reference,
        vjp=_spread_vjp,
        jvp=linear,
        flops=_spread_flops,
        examples=_average_examples(back=True),
        formula="each dy / n to its window",
        color=POOLING,
    )
)
