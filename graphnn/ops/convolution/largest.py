"""Max-pooling of planes: where each window's largest element is, picking and adding by place.

It is a choice of places, by which elements are picked; adding back to the same places is the
gradient, whose gradient is the picking.
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.node import Node, apply
from graphnn.op import Draw, Example, Mismatch, Op, Rows, register
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
from graphnn.ops.declare.tangents import linear, no_flow, no_gradient
from graphnn.source import Body
from graphnn.spec import Shape, TensorSpec

__all__: list[str] = []


def beats(value, best):  # type: ignore[no-untyped-def]
    """Whether a value is larger, or the first nan."""
    return (not value <= best) & (best == best)


def are_quads(rows, columns, height, width, kh, kw, sh, sw, ph, pw, dh, dw):  # type: ignore[no-untyped-def]
    """Whether windows are the usual ones: 2x2, two apart, none beyond an edge.

    They have a loop of their own: 2.4 million elements in 0.23 ms, not 3.1, on one core.
    """
    square = (kh == 2) & (kw == 2) & (sh == 2) & (sw == 2) & (dh == 1) & (dw == 1)
    return square & (ph == 0) & (pw == 0) & (2 * rows <= height) & (2 * columns <= width)


def _largest(start, stop, x, out, *, kh, kw, sh, sw, ph, pw, dh, dw):  # type: ignore[no-untyped-def]
    height, width = x.shape[1], x.shape[2]
    rows, columns = out.shape[1], out.shape[2]
    if are_quads(rows, columns, height, width, kh, kw, sh, sw, ph, pw, dh, dw):
        for n in range(start, stop):
            for i in range(rows):
                for j in range(columns):  # no loop inside, so that this one becomes vectors
                    first = 2 * i * width + 2 * j
                    place, best = first, x[n, 2 * i, 2 * j]
                    value = x[n, 2 * i, 2 * j + 1]
                    better = beats(value, best)
                    place = first + 1 if better else place
                    best = value if better else best
                    value = x[n, 2 * i + 1, 2 * j]
                    better = beats(value, best)
                    place = first + width if better else place
                    best = value if better else best
                    value = x[n, 2 * i + 1, 2 * j + 1]
                    out[n, i, j] = first + width + 1 if beats(value, best) else place
        return
    for n in range(start, stop):
        for i in range(rows):
            top = begin(i, rows, height, sh, ph, dh)
            bottom = end(i, rows, height, sh, ph, (kh - 1) * dh + 1)
            for j in range(columns):
                left = begin(j, columns, width, sw, pw, dw)
                right = end(j, columns, width, sw, pw, (kw - 1) * dw + 1)
                place, best = top * width + left, x[n, top, left]
                for u in range(top, bottom, dh):
                    for v in range(left, right, dw):
                        # Without a branch, since no processor foresees which is the largest:
                        # 8.8 instead of 15.7 ms for 3.2 million elements.
                        value = x[n, u, v]
                        better = beats(value, best)
                        place = u * width + v if better else place
                        best = value if better else best
                out[n, i, j] = place


def _pick(start, stop, x, places, out):  # type: ignore[no-untyped-def]
    size = x.shape[1] * x.shape[2]
    for n in range(start, stop):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                place = places[n, i, j]
                # A plane lies in one piece: behind row 0 come the others.
                out[n, i, j] = x[n, 0, place] if 0 <= place < size else math.nan


def _add_back(start, stop, dy, places, out):  # type: ignore[no-untyped-def]
    size = out.shape[1] * out.shape[2]
    for n in range(start, stop):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                out[n, i, j] = 0
        for i in range(dy.shape[1]):
            for j in range(dy.shape[2]):
                place = places[n, i, j]
                if 0 <= place < size:
                    out[n, 0, place] += dy[n, i, j]


def _in_a_row(planes: NDArray[Any]) -> NDArray[Any]:
    """Each plane's elements in a row."""
    *leading, height, width = planes.shape
    return planes.reshape(*leading, height * width)


def _largest_reference(
    x: NDArray[Any], *, size: Any, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int, dh: int,
    dw: int,
) -> NDArray[Any]:  # fmt: skip
    height, width = x.shape[-2:]
    found = np.zeros((*x.shape[:-2], *size), np.int32)
    for i, rows in enumerate(taps_of(height, size[0], kh, sh, ph, dh)):
        for j, columns in enumerate(taps_of(width, size[1], kw, sw, pw, dw)):
            under = _in_a_row(x[..., rows, :][..., columns])
            places = np.add.outer(np.array(rows) * width, np.array(columns)).ravel()
            found[..., i, j] = places[np.argmax(under, axis=-1)]
    return found


def _pick_reference(x: NDArray[Any], places: NDArray[Any]) -> NDArray[Any]:
    return np.take_along_axis(_in_a_row(x), _in_a_row(places), -1).reshape(places.shape)


def _add_back_reference(dy: NDArray[Any], places: NDArray[Any], *, size: Any) -> NDArray[Any]:
    planes = math.prod(dy.shape[:-2])
    total = np.zeros((planes, size[0] * size[1]), dy.dtype)
    count = dy.shape[-2] * dy.shape[-1]
    which = np.repeat(np.arange(planes), count)
    np.add.at(total, (which, places.reshape(-1)), dy.reshape(-1))
    return total.reshape(*dy.shape[:-2], *size)


def _largest_spec(x: TensorSpec, *, size: Shape, **window: int) -> TensorSpec:
    out = planes_spec(x, size).with_dtype("int32")
    check_windows(x.shape[-2:], size, window)
    return out


def _pick_spec(x: TensorSpec, places: TensorSpec) -> TensorSpec:
    if places.dtype != "int32" or places.shape[:-2] != x.shape[:-2]:
        raise Mismatch("places in int32, as many planes of them as of x")
    return planes_spec(x, places.shape[-2:])


def _add_back_spec(dy: TensorSpec, places: TensorSpec, *, size: Shape) -> TensorSpec:
    if places.dtype != "int32" or places.shape != dy.shape:
        raise Mismatch("places in int32, one for each element")
    return planes_spec(dy, size)


def _pick_vjp(node: Node, dy: Node) -> list[Node | None]:
    x, places = node.inputs
    return [apply(ADD_BACK, [dy, places], {"size": x.spec.shape[-2:]}), None]


def _add_back_vjp(node: Node, v: Node) -> list[Node | None]:
    return [apply(PICK, [v, node.inputs[1]]), None]


def _max_example(size: Sequence[int], out: int, *window: int, d: int = 1) -> Example:
    attrs = {"size": (out, out), **window_attrs(*window, dh=d, dw=d)}
    return Example((Draw((2, 3, *size)),), attrs)


LARGEST = register(
    Op(
        name="max_pool_places",
        spec=_largest_spec,
        kernel=Rows(Body(_largest), ("planes", "planes")),
        reference=_largest_reference,
        vjp=no_gradient,
        jvp=no_flow,
        flops=looked_at,
        examples=(
            _max_example((6, 6), 3, 2, 2, 0),
            _max_example((5, 5), 3, 3, 2, 1),
            _max_example((8, 7), 2, 2, 3, 1, d=3),
            _max_example((7, 5), 3, 0, 0, 0),
        ),
        formula="argmax of each window",
        color=POOLING,
    )
)
PICK = register(
    Op(
        name="pick_in_planes",
        spec=_pick_spec,
        kernel=Rows(Body(_pick), ("planes", "planes", "planes")),
        reference=_pick_reference,
        vjp=_pick_vjp,
        jvp=linear,
        examples=(
            Example((Draw((2, 3, 4, 5)), Draw((2, 3, 3, 2), 0, 20, "int32"))),
            Example((Draw((5, 3, 4)), Draw((5, 2, 6), 0, 12, "int32"))),
        ),
        bounds=lambda x, _places: {1: (0, x.shape[-2] * x.shape[-1])},
        formula="x[place]",
        color=POOLING,
    )
)
ADD_BACK = register(
    Op(
        name="add_in_planes",
        spec=_add_back_spec,
        kernel=Rows(Body(_add_back), ("planes", "planes", "planes")),
        reference=_add_back_reference,
        vjp=_add_back_vjp,
        jvp=linear,
        flops=lambda _out, dy, _places, **_attrs: dy.size,
        examples=(
            Example((Draw((2, 3, 3, 2)), Draw((2, 3, 3, 2), 0, 20, "int32")), {"size": (4, 5)}),
            Example((Draw((5, 2, 6)), Draw((5, 2, 6), 0, 12, "int32")), {"size": (3, 4)}),
        ),
        bounds=lambda _dy, _places, *, size: {1: (0, size[0] * size[1])},
        formula="Σ dy at each place",
        color=POOLING,
    )
)
