"""The same elements in another shape: nothing is moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.context import declared_at
from graphnn.errors import ShapeError
from graphnn.hints import teaches
from graphnn.node import Node, NodeLike, apply, as_node
from graphnn.op import Alias, Draw, Example, Mismatch, Op, register
from graphnn.ops.declare.axes import as_axes, as_axis, as_new_axes
from graphnn.ops.declare.tangents import linear
from graphnn.spec import (
    BATCH,
    Dim,
    DimLike,
    Shape,
    TensorSpec,
    divide,
    format_shape,
    product,
)

__all__ = ["expand_dims", "flatten", "reshape", "squeeze"]

MOVEMENT = "#f1f5f9"


def _reshape_spec(x: TensorSpec, *, shape: Shape) -> TensorSpec:
    known = product(dim for dim in shape if dim != -1)
    unknown = sum(dim == -1 for dim in shape)
    if unknown > 1:
        raise Mismatch(f"at most one -1 in the new shape; it is {shape}")
    if unknown == 1:
        missing = divide(x.size, known)
        if missing is None:
            raise Mismatch(f"a number of elements divisible by {known} for shape={shape}")
        return x.with_shape([missing if dim == -1 else dim for dim in shape])
    if known != x.size:
        raise Mismatch(
            f"as many elements before ({x.size}) as after ({known})", "Let one axis be -1."
        )
    return x.with_shape(shape)


def _reshape_reference(x: NDArray[Any], *, shape: Shape) -> NDArray[Any]:
    return x.reshape([-1 if isinstance(dim, Dim) else dim for dim in shape])


def _reshape_vjp(node: Node, dy: Node) -> list[Node | None]:
    return [reshape(dy, node.inputs[0].spec.shape)]


RESHAPE = register(
    Op(
        name="reshape",
        spec=_reshape_spec,
        kernel=Alias(),
        reference=_reshape_reference,
        vjp=_reshape_vjp,
        jvp=linear,
        examples=(
            Example((Draw((3, 4)),), {"shape": (2, 6)}),
            Example((Draw((3, 4)),), {"shape": (-1,)}),
            Example((Draw((6,)),), {"shape": (1, 2, 3)}),
        ),
        formula="the same numbers, another shape",
        color=MOVEMENT,
    )
)


@teaches
def reshape(x: NodeLike, shape: int | Sequence[DimLike | None]) -> Node:
    """The same elements in another shape; no data is moved.

    Parameters
    ----------
    x
        Any shape.
    shape
        New sizes; one may be -1, ``None`` is the batch size.

    Raises
    ------
    ShapeError
        If the number of elements differs.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.reshape(gn.Input((None, 6)), (None, 2, -1)).shape
    (None, 2, 3)
    """
    node = as_node(x)
    wanted = (shape,) if isinstance(shape, int | np.integer | Dim) else shape
    target = tuple(_size(dim) for dim in wanted)
    return node if target == node.spec.shape else apply(RESHAPE, [node], {"shape": target})


def _size(dim: DimLike | np.integer[Any] | None) -> DimLike:
    """A size as users write it."""
    return BATCH if dim is None else int(dim) if isinstance(dim, np.integer) else dim


def flatten(x: NodeLike, start: int = 1) -> Node:
    """Join the axes from ``start`` on into one; by default all but the batch axis.

    Raises
    ------
    ShapeError
        If there is no such axis; ``start == ndim`` appends one of size 1.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.flatten(gn.Input((None, 1, 28, 28))).shape
    (None, 784)
    """
    node = as_node(x)
    if start != node.ndim and start not in range(-node.ndim, node.ndim):
        raise ShapeError(
            f"flatten: start={start} is no axis of {node.name}, which has shape "
            f"{format_shape(node.spec.shape)}. Declared at {declared_at()}. "
            f"Name an axis from {-node.ndim} to {node.ndim}."
        )
    first = node.ndim if start == node.ndim else as_axis(node, start, "flatten")
    return reshape(node, (*node.spec.shape[:first], product(node.spec.shape[first:])))


@teaches
def expand_dims(x: NodeLike, axes: int | Sequence[int]) -> Node:
    """Insert axes of size 1 at the places that they have in the result.

    Raises
    ------
    ShapeError
        If there is no such place, or one is named twice.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.expand_dims(gn.Input((None, 3)), -1).shape
    (None, 3, 1)
    """
    node = as_node(x)
    new = as_new_axes(node, axes, "expand_dims")
    ndim = node.ndim + len(new)
    dims = iter(node.spec.shape)
    return reshape(node, tuple(1 if i in new else next(dims) for i in range(ndim)))


@teaches
def squeeze(x: NodeLike, axes: int | Sequence[int] | None = None) -> Node:
    """Drop axes of size 1: the given ones, or all.

    Raises
    ------
    ShapeError
        If there is no such axis, or it has another size.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.squeeze(gn.Input((None, 1, 3, 1)), -1).shape
    (None, 1, 3)
    """
    node = as_node(x)
    shape = node.spec.shape
    given = as_axes(node, axes, "squeeze")
    wrong = [i for i in given if axes is not None and shape[i] != 1]
    if wrong:
        raise ShapeError(
            f"squeeze: axis {wrong[0]} of {node.name} has size {shape[wrong[0]]}, and only an axis "
            f"of size 1 can be dropped; its shape is {format_shape(shape)}. "
            f"Declared at {declared_at()}. Reshape it: gn.reshape(x, ...)."
        )
    gone = {i for i in given if shape[i] == 1}
    kept = tuple(dim for i, dim in enumerate(shape) if i not in gone)
    return reshape(node, kept)
