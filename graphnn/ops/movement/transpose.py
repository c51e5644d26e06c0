"""Axes in another order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphnn.context import declared_at
from graphnn.errors import ShapeError
from graphnn.hints import teaches
from graphnn.node import Node, NodeLike, apply, as_node
from graphnn.op import Draw, Example, Mismatch, Op, Strided, register
from graphnn.ops.declare.axes import as_axes, as_axis
from graphnn.ops.declare.tangents import linear
from graphnn.ops.movement.reshape import MOVEMENT
from graphnn.spec import (
    DimLike,
    Shape,
    TensorSpec,
    product,
)

__all__ = ["moveaxis", "swapaxes", "transpose"]


def _transpose_spec(x: TensorSpec, *, axes: tuple[int, ...]) -> TensorSpec:
    if sorted(axes) != list(range(x.ndim)):
        raise Mismatch(f"axes that name each of the {x.ndim} axes once; they are {axes}")
    return x.with_shape([x.shape[axis] for axis in axes])


def row_strides(shape: Shape) -> list[DimLike]:
    """How many elements apart neighbours along each axis lie, stored row by row."""
    return [product(shape[axis + 1 :]) for axis in range(len(shape))]


def _transpose_walk(x: TensorSpec, *, axes: tuple[int, ...]) -> tuple[DimLike, Sequence[DimLike]]:
    strides = row_strides(x.shape)
    return 0, [strides[axis] for axis in axes]


def _transpose_vjp(node: Node, dy: Node) -> list[Node | None]:
    back = tuple(int(i) for i in np.argsort(node.attrs["axes"]))
    return [transpose(dy, back)]


TRANSPOSE = register(
    Op(
        name="transpose",
        spec=_transpose_spec,
        kernel=Strided(_transpose_walk),
        reference=lambda x, *, axes: np.ascontiguousarray(np.transpose(x, axes)),
        vjp=_transpose_vjp,
        jvp=linear,
        examples=(
            Example((Draw((3, 4)),), {"axes": (1, 0)}),
            Example((Draw((2, 3, 4)),), {"axes": (2, 0, 1)}),
            Example((Draw((2, 3, 4, 5)),), {"axes": (0, 2, 1, 3)}),
            Example((Draw((40, 70)),), {"axes": (1, 0)}),
        ),
        formula="xᵀ",
        color=MOVEMENT,
    )
)


@teaches
def transpose(x: NodeLike, axes: Sequence[int] | None = None) -> Node:
    """Reorder the axes; by default reverse them. A product absorbs the transpose of its factors.

    Raises
    ------
    ShapeError
        If ``axes`` do not name each axis once.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.transpose(gn.Input((None, 3, 4)), (0, 2, 1)).shape
    (None, 4, 3)
    """
    node = as_node(x)
    order = as_axes(node, axes, "transpose")
    order = order[::-1] if axes is None else order
    return node if order == tuple(range(node.ndim)) else apply(TRANSPOSE, [node], {"axes": order})


def swapaxes(x: NodeLike, axis1: int, axis2: int) -> Node:
    """Exchange two axes.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.swapaxes(gn.Input((None, 3, 4)), 1, 2).shape
    (None, 4, 3)
    """
    node = as_node(x)
    a, b = as_axis(node, axis1, "swapaxes"), as_axis(node, axis2, "swapaxes")
    order = list(range(node.ndim))
    order[a], order[b] = b, a
    return transpose(node, order)


def moveaxis(x: NodeLike, source: int | Sequence[int], destination: int | Sequence[int]) -> Node:
    """Move axes to other places; the others keep their order.

    Raises
    ------
    ShapeError
        If an axis does not exist or is named twice.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.moveaxis(gn.Input((None, 3, 4)), -1, 0).shape
    (4, None, 3)
    """
    node = as_node(x)
    old, new = (as_axes(node, axes, "moveaxis") for axes in (source, destination))
    if len(old) != len(new):
        raise ShapeError(
            f"moveaxis: source and destination name as many axes; got {source} and "
            f"{destination}. Declared at {declared_at()}."
        )
    order = [axis for axis in range(node.ndim) if axis not in old]
    for place, axis in sorted(zip(new, old, strict=True)):
        order.insert(place, axis)
    return transpose(node, order)


def last_axis_order(ndim: int, axis: int) -> tuple[list[int], list[int]]:
    """The order of axes that puts one of them last, and the way back."""
    order = [i for i in range(ndim) if i != axis] + [axis]
    return order, [order.index(i) for i in range(ndim)]
