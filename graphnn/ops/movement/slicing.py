"""Parts of an array, and arrays around a part: slice and pad, each the other's reverse.

As in XLA: both are described by ``low`` and ``high``, the elements before and after, and by how far
elements lie apart. A slice leaves out what a pad puts in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.context import declared_at
from graphnn.errors import ShapeError
from graphnn.hints import teaches
from graphnn.node import Node, NodeLike, apply, as_node
from graphnn.op import Draw, Example, Mismatch, Op, Pad, Strided, register
from graphnn.ops.declare.axes import as_axes, as_axis
from graphnn.ops.declare.tangents import linear, zeros
from graphnn.ops.movement.reshape import MOVEMENT
from graphnn.ops.movement.transpose import row_strides
from graphnn.spec import Dim, DimLike, TensorSpec, divide, format_shape

__all__ = ["flip", "narrow"]

Sizes = tuple[DimLike, ...]


def _sign(step: DimLike) -> int:
    return -1 if isinstance(step, int) and step < 0 else 1


def _sliced_size(total: DimLike, low: DimLike, high: DimLike, step: DimLike) -> DimLike | None:
    """How many elements a slice takes, the last one just before the ``high`` left out."""
    span = total - low - high
    if span == 0:
        return 0
    quotient = divide(span - 1, step * _sign(step))
    return None if quotient is None else quotient + 1


def is_negative(dim: DimLike) -> bool:
    """Whether a number is negative, or a dimension for every size.

    ``4 - T`` is neither: a table of four rows is cut to T, and ``fits`` is asked when T is known.
    """
    if isinstance(dim, Dim):
        return all(coefficient < 0 for _, coefficient in dim.terms)
    return dim < 0


def _slice_spec(x: TensorSpec, *, low: Sizes, high: Sizes, step: Sizes) -> TensorSpec:
    if not len(low) == len(high) == len(step) == x.ndim:
        raise Mismatch(f"low, high and step for each of {x.ndim} axes")
    if any(step_of == 0 for step_of in step):
        raise Mismatch("steps that are not 0")
    rows = list(zip(x.shape, low, high, step, strict=True))
    if any(is_negative(dim) for total, a, b, _ in rows for dim in (a, b, total - a - b)):
        raise Mismatch(f"parts that lie within the array; low={low}, high={high} do not")
    sizes = [_sliced_size(*row) for row in rows]
    if any(size is None for size in sizes):
        raise Mismatch(
            "a part whose length is known for every batch size",
            "Take steps that divide the length, or slice another axis.",
        )
    return x.with_shape([size for size in sizes if size is not None])


def _slice_walk(
    x: TensorSpec, *, low: Sizes, high: Sizes, step: Sizes
) -> tuple[DimLike, Sequence[DimLike]]:
    strides = row_strides(x.shape)
    starts = [
        total - after - 1 if _sign(each) < 0 else before
        for total, before, after, each in zip(x.shape, low, high, step, strict=True)
    ]
    offset: DimLike = 0
    for start, stride in zip(starts, strides, strict=True):
        offset = offset + start * stride
    return offset, [each * stride for each, stride in zip(step, strides, strict=True)]


def _slice_fits(x: TensorSpec, *, low: Sizes, high: Sizes, step: Sizes) -> list[DimLike]:
    lengths = [total - a - b for total, a, b in zip(x.shape, low, high, strict=True)]
    return [*low, *high, *lengths]


def _slice_reference(
    x: NDArray[Any], *, low: tuple[int, ...], high: tuple[int, ...], step: tuple[int, ...]
) -> NDArray[Any]:
    for axis, (before, after, each) in enumerate(zip(low, high, step, strict=True)):
        places = range(before, x.shape[axis] - after, abs(each))
        x = np.take(x, places if each > 0 else places[::-1], axis)
    return x


def _slice_vjp(node: Node, dy: Node) -> list[Node | None]:
    low, high, step = (node.attrs[key] for key in ("low", "high", "step"))
    turned = tuple(_sign(each) for each in step)
    apart = tuple(each * sign - 1 for each, sign in zip(step, turned, strict=True))
    return [padded(_turned(dy, turned), low, high, apart)]


def _turned(x: Node, step: tuple[int, ...]) -> Node:
    none = (0,) * x.ndim
    return x if set(step) <= {1} else apply(SLICE, [x], {"low": none, "high": none, "step": step})


def _cut(shape: tuple[int, ...], low: Sizes, high: Sizes, step: Sizes) -> Example:
    return Example((Draw(shape),), {"low": low, "high": high, "step": step})


SLICE = register(
    Op(
        name="slice",
        spec=_slice_spec,
        kernel=Strided(_slice_walk),
        reference=_slice_reference,
        vjp=_slice_vjp,
        jvp=linear,
        examples=(
            _cut((4, 7), (0, 1), (0, 2), (1, 1)),
            _cut((3, 7), (0, 1), (0, 0), (1, 5)),
            _cut((3, 2, 5), (0, 0, 0), (0, 0, 0), (1, -1, -2)),
            _cut((2, 3, 4), (0, 3, 1), (0, 0, 2), (1, 1, 1)),
            _cut((5, 40), (2, 0), (1, 0), (-1, 1)),
            _cut((9,), (1,), (1,), (-3,)),
            _cut((1, 6, 2), (0, 2, 0), (0, 1, 1), (1, 2, 1)),
        ),
        fits=_slice_fits,
        formula="x[low : n - high : step]",
        color=MOVEMENT,
    )
)


def sliced(x: Node, low: Sizes, high: Sizes, step: Sizes | None = None) -> Node:
    """``x`` without its first ``low`` and last ``high`` elements, every ``step``-th of the rest.

    With a negative step from the last one on. The last element has to be taken: where ``high`` is
    such that it is not, the length may be no polynomial in the batch size.
    """
    steps = step or (1,) * x.ndim
    if set(steps) <= {1} and set(low) | set(high) <= {0}:
        return x
    return apply(SLICE, [x], {"low": low, "high": high, "step": steps})


@teaches
def narrow(x: NodeLike, axis: int, start: DimLike, length: DimLike) -> Node:
    """The ``length`` elements from ``start`` on along one axis, as torch has it.

    Raises
    ------
    ShapeError
        If they do not lie within the axis.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.narrow(gn.Input((None, 10)), 1, 2, 5).shape
    (None, 5)
    """
    node = as_node(x)
    place = as_axis(node, axis, "narrow")
    low: list[DimLike] = [0] * node.ndim
    high: list[DimLike] = [0] * node.ndim
    low[place], high[place] = start, node.spec.shape[place] - start - length
    return sliced(node, tuple(low), tuple(high))


@teaches
def flip(x: NodeLike, axis: int | Sequence[int] | None = None) -> Node:
    """Reverse the order along ``axis``, by default along all axes.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.flip(gn.Constant([1.0, 2.0, 3.0])))()
    array([3., 2., 1.], dtype=float32)
    """
    node = as_node(x)
    turned = as_axes(node, axis, "flip")
    return _turned(node, tuple(-1 if i in turned else 1 for i in range(node.ndim)))


def _pad_spec(
    x: TensorSpec, *, low: Sizes, high: Sizes, interior: Sizes, value: float
) -> TensorSpec:
    if not len(low) == len(high) == len(interior) == x.ndim:
        raise Mismatch(f"low, high and interior for each of {x.ndim} axes")
    if any(is_negative(between) for between in interior):
        raise Mismatch(f"no negative number of elements in between; interior={interior}")
    sizes = [_padded_size(*row) for row in zip(x.shape, low, high, interior, strict=True)]
    if any(is_negative(size) for size in sizes):
        raise Mismatch(f"more elements than are cut away; low={low}, high={high}")
    return x.with_shape(sizes)


def _padded_size(size: DimLike, low: DimLike, high: DimLike, interior: DimLike) -> DimLike:
    gaps = 0 if size == 0 else (size - 1) * interior
    return low + size + gaps + high


def _pad_fits(
    x: TensorSpec, *, low: Sizes, high: Sizes, interior: Sizes, value: float
) -> list[DimLike]:
    return [_padded_size(*row) for row in zip(x.shape, low, high, interior, strict=True)]


def _pad_reference(
    x: NDArray[Any],
    *,
    low: tuple[int, ...],
    high: tuple[int, ...],
    interior: tuple[int, ...],
    value: float,
) -> NDArray[Any]:
    for axis, (before, after, between) in enumerate(zip(low, high, interior, strict=True)):
        count = x.shape[axis]
        shape = list(x.shape)
        shape[axis] = before + count + max(count - 1, 0) * between + after
        wide = np.full(shape, value, x.dtype)
        for j in range(count):
            place = before + j * (between + 1)
            if 0 <= place < shape[axis]:
                np.moveaxis(wide, axis, 0)[place] = np.moveaxis(x, axis, 0)[j]
        x = wide
    return x


def _pad_vjp(node: Node, dy: Node) -> list[Node | None]:
    low, high, interior = (node.attrs[key] for key in ("low", "high", "interior"))
    (x,) = node.inputs
    if any(size == 0 for size in x.spec.shape):
        return [zeros(x.spec)]
    # What was cut away gets 0: it is put back, and then the elements of x are taken out.
    whole = padded(dy, _lost(low), _lost(high))
    return [sliced(whole, _kept(low), _kept(high), tuple(between + 1 for between in interior))]


def _lost(side: Sizes) -> Sizes:
    return tuple(-1 * dim if is_negative(dim) else 0 for dim in side)


def _kept(side: Sizes) -> Sizes:
    return tuple(0 if is_negative(dim) else dim for dim in side)


def _pad_jvp(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    (dx,) = tangents
    return None if dx is None else apply(PAD, [dx], {**node.attrs, "value": 0})


def _put(
    shape: tuple[int, ...], low: Sizes, high: Sizes, interior: Sizes, value: float = 0
) -> Example:
    attrs = {"low": low, "high": high, "interior": interior, "value": value}
    return Example((Draw(shape),), attrs)


PAD = register(
    Op(
        name="pad",
        spec=_pad_spec,
        kernel=Pad(),
        reference=_pad_reference,
        vjp=_pad_vjp,
        jvp=_pad_jvp,
        examples=(
            _put((4, 3), (0, 1), (0, 2), (0, 0)),
            _put((2, 3, 4), (1, 0, 2), (2, 0, 0), (0, 1, 2), -1.5),
            _put((3, 5, 2), (0, -1, 1), (0, -2, -1), (0, 0, 0)),
            _put((5,), (2,), (3,), (0,), 7),
            _put((5, 3), (-1, 2), (1, 0), (2, 0)),
            _put((7,), (-2,), (-3,), (1,)),
            _put((1, 5, 30), (0, 0, 0), (0, 4, 0), (0, 0, 0)),
            _put((4, 3), (-1, 0), (-2, 0), (0, 0)),
        ),
        fits=_pad_fits,
        formula="x, with value around",
        color=MOVEMENT,
    )
)


def padded(
    x: Node, low: Sizes, high: Sizes, interior: Sizes | None = None, value: float = 0
) -> Node:
    """``x`` with ``low`` elements before, ``high`` after and ``interior`` between its own."""
    between = interior or (0,) * x.ndim
    if set(low) | set(high) | set(between) <= {0}:
        return x
    attrs = {"low": low, "high": high, "interior": between, "value": value}
    return apply(PAD, [x], attrs)


def cannot_slice(node: Node, what: str, fix: str) -> ShapeError:
    """The error of a slice that does not fit."""
    return ShapeError(
        f"{what}; {node.name} has shape {format_shape(node.spec.shape)}. "
        f"Declared at {declared_at()}. {fix}"
    )
