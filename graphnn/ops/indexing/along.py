"""Elements chosen in each row along an axis, and their reverse: sums into the chosen places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.context import declared_at
from graphnn.errors import ShapeError
from graphnn.hints import teaches
from graphnn.node import Node, NodeLike, apply, as_node
from graphnn.op import Draw, Example, Mismatch, Op, Rows, register
from graphnn.ops.declare.axes import as_axis
from graphnn.ops.declare.tangents import linear
from graphnn.ops.indexing.take import as_indices, check_indices
from graphnn.ops.movement.broadcast import broadcast_to
from graphnn.ops.movement.reshape import MOVEMENT
from graphnn.ops.movement.transpose import last_axis_order, transpose
from graphnn.source import Body
from graphnn.spec import DimLike, TensorSpec, broadcast_shapes, format_shape

__all__ = ["gather", "take_along_axis"]


def _along_spec(x: TensorSpec, indices: TensorSpec) -> TensorSpec:
    check_indices(indices)
    if x.ndim == 0 or x.shape[:-1] != indices.shape[:-1]:
        raise Mismatch("indices.shape[:-1] == x.shape[:-1]", "Use gn.take_along_axis.")
    return x.with_shape(indices.shape)


def _take_along_rows(start, stop, x, indices, out):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        for j in range(out.shape[1]):
            chosen = indices[i, j]
            if 0 <= chosen < x.shape[1]:
                out[i, j] = x[i, chosen]
            else:
                out[i, j] = 0


def _along_reference(x: NDArray[Any], indices: NDArray[Any]) -> NDArray[Any]:
    inside = (indices >= 0) & (indices < x.shape[-1])
    if x.shape[-1] == 0:
        return np.zeros(indices.shape, x.dtype)
    found = np.take_along_axis(x, np.where(inside, indices, 0), -1)
    return np.where(inside, found, np.zeros((), x.dtype))


def _along_vjp(node: Node, dy: Node) -> list[Node | None]:
    x, indices = node.inputs
    return [apply(PUT_ALONG, [dy, indices], {"size": x.spec.shape[-1]}), None]


def _along_bounds(x: TensorSpec, _indices: TensorSpec) -> Mapping[int, tuple[int, DimLike]]:
    return {1: (0, x.shape[-1])}


TAKE_ALONG = register(
    Op(
        name="take_along",
        spec=_along_spec,
        kernel=Rows(Body(_take_along_rows), ("rows", "rows", "rows")),
        reference=_along_reference,
        vjp=_along_vjp,
        jvp=linear,
        bounds=_along_bounds,
        examples=(
            Example((Draw((4, 6)), Draw((4, 3), 0, 6, "int64"))),
            Example((Draw((2, 3, 4)), Draw((2, 3, 7), 0, 4, "int32"))),
            Example((Draw((1, 5)), Draw((1, 5), 0, 5, "int64"))),
        ),
        formula="x[r, i]",
        color=MOVEMENT,
    )
)


def _put_spec(updates: TensorSpec, indices: TensorSpec, *, size: DimLike) -> TensorSpec:
    check_indices(indices)
    if updates.ndim == 0 or updates.shape != indices.shape:
        raise Mismatch("one index for each of the updates")
    return updates.with_shape((*updates.shape[:-1], size))


def _put_along_rows(start, stop, updates, indices, out):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        for j in range(out.shape[1]):
            out[i, j] = 0
        for j in range(updates.shape[1]):
            chosen = indices[i, j]
            if 0 <= chosen < out.shape[1]:
                out[i, chosen] += updates[i, j]


def _put_reference(updates: NDArray[Any], indices: NDArray[Any], *, size: int) -> NDArray[Any]:
    total = np.zeros((*updates.shape[:-1], size), updates.dtype)
    for place in np.ndindex(updates.shape):
        if 0 <= indices[place] < size:
            total[(*place[:-1], indices[place])] += updates[place]
    return total


def _put_vjp(node: Node, dy: Node) -> list[Node | None]:
    return [apply(TAKE_ALONG, [dy, node.inputs[1]]), None]


def _put_bounds(
    _updates: TensorSpec, _indices: TensorSpec, *, size: DimLike
) -> Mapping[int, tuple[int, DimLike]]:
    return {1: (0, size)}


PUT_ALONG = register(
    Op(
        name="put_along",
        spec=_put_spec,
        kernel=Rows(Body(_put_along_rows), ("rows", "rows", "rows")),
        reference=_put_reference,
        vjp=_put_vjp,
        jvp=linear,
        bounds=_put_bounds,
        flops=lambda _out, updates, *_rest, **_attrs: updates.size,
        examples=(
            Example((Draw((4, 3)), Draw((4, 3), 0, 6, "int64")), {"size": 6}),
            Example((Draw((2, 3, 7)), Draw((2, 3, 7), 0, 4, "int32")), {"size": 4}),
        ),
        formula="y[r, i] += x",
        color=MOVEMENT,
    )
)


@teaches
def take_along_axis(x: NodeLike, indices: NodeLike, axis: int = -1) -> Node:
    """Elements chosen in each row along an axis, for instance by ``argsort``.

    Parameters
    ----------
    x, indices
        Of equal rank; all axes but ``axis`` broadcast. Indices are int64 or int32.
    axis
        Along which elements are chosen.

    Raises
    ------
    ShapeError, DTypeError
        If the shapes do not fit, or indices are no whole numbers. Given indices out of range raise
        when data is given; computed ones take 0.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Constant([[1.0, 2.0], [3.0, 4.0]])
    >>> gn.function([], gn.take_along_axis(x, [[1], [0]], axis=1))()
    array([[2.],
           [3.]], dtype=float32)
    """
    node = as_node(x)
    place = as_axis(node, axis, "take_along_axis")
    chosen = as_indices("take_along_axis", indices, node.spec.shape[place])
    if chosen.ndim != node.ndim:
        raise ShapeError(
            f"take_along_axis needs indices of as many axes as x; got "
            f"{format_shape(chosen.spec.shape)} for {format_shape(node.spec.shape)}. "
            f"Declared at {declared_at()}. Use gn.take for one list of indices."
        )
    order, back = last_axis_order(node.ndim, place)
    node, chosen = transpose(node, order), transpose(chosen, order)
    batch = broadcast_shapes(node.spec.shape[:-1], chosen.spec.shape[:-1])
    if batch is not None:
        node = broadcast_to(node, (*batch, node.spec.shape[-1]))
        chosen = broadcast_to(chosen, (*batch, chosen.spec.shape[-1]))
    return transpose(apply(TAKE_ALONG, [node, chosen]), back)


@teaches
def gather(x: NodeLike, dim: int, index: NodeLike) -> Node:
    """:func:`take_along_axis` with torch's name and order of arguments.

    Parameters
    ----------
    x
        Any shape.
    dim
        The axis along which elements are chosen.
    index
        As many axes as x; int64 or int32.

    Raises
    ------
    ShapeError, DTypeError
        As :func:`take_along_axis`.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Constant([[1.0, 2.0], [3.0, 4.0]])
    >>> gn.function([], gn.gather(x, 1, [[1], [0]]))()
    array([[2.],
           [3.]], dtype=float32)
    """
    return take_along_axis(x, index, dim)
