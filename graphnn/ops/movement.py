"""Ops that move or rename data and compute nothing: reshape, transpose, broadcast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.context import declared_at
from graphnn.errors import ShapeError
from graphnn.hints import teaches
from graphnn.node import Node, NodeLike, apply, as_node
from graphnn.op import Alias, Draw, Example, Mismatch, Op, Rows, Scalar, Strided, register
from graphnn.ops.axes import as_axes, as_axis, as_new_axes
from graphnn.ops.tangents import linear, no_flow, no_gradient
from graphnn.source import Body
from graphnn.spec import (
    BATCH,
    Dim,
    DimLike,
    Shape,
    TensorSpec,
    broadcast_shapes,
    divide,
    format_shape,
    product,
)

MOVEMENT = "#f1f5f9"

# More than any index. A negative index counts from the end; where LLVM sees that none can be
# negative (it was bounded from below, and cannot overflow), loops become vectors.
FAR = 1 << 48


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


def _broadcast_spec(x: TensorSpec, *, shape: Shape) -> TensorSpec:
    if broadcast_shapes(x.shape, shape) != shape:
        raise Mismatch(f"a shape that broadcasts to {shape}")
    return x.with_shape(shape)


def _same(x):  # type: ignore[no-untyped-def]
    return x


def _broadcast_vjp(_node: Node, dy: Node) -> list[Node | None]:
    return [dy]  # autodiff sums every cotangent to the shape of its input


BROADCAST = register(
    Op(
        name="broadcast_to",
        spec=_broadcast_spec,
        kernel=Scalar(Body(_same)),
        reference=lambda x, *, shape: np.broadcast_to(x, shape).copy(),
        vjp=_broadcast_vjp,
        jvp=linear,
        examples=(
            Example((Draw((3,)),), {"shape": (4, 3)}),
            Example((Draw((2, 1, 3)),), {"shape": (2, 4, 3)}),
            Example((Draw(()),), {"shape": (2, 3)}),
        ),
        formula="repeat along new axes",
        color=MOVEMENT,
    )
)


@teaches
def broadcast_to(x: NodeLike, shape: Sequence[DimLike | None]) -> Node:
    """Repeat ``x`` along axes of size 1 and new leading axes, as NumPy broadcasts.

    Raises
    ------
    ShapeError
        If ``x`` does not broadcast to that shape.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.broadcast_to(gn.Input((3,)), (None, 3)).shape
    (None, 3)
    """
    node = as_node(x)
    target = tuple(BATCH if dim is None else dim for dim in shape)
    return node if target == node.spec.shape else apply(BROADCAST, [node], {"shape": target})


@teaches
def expand(x: NodeLike, shape: Sequence[DimLike | None]) -> Node:
    """:func:`broadcast_to` as torch has it: -1 keeps the size of an axis.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.expand(gn.Input((None, 1)), (-1, 4)).shape
    (None, 4)
    """
    node = as_node(x)
    new = len(shape) - node.ndim
    kept = (*[-1] * new, *node.spec.shape) if new >= 0 else node.spec.shape
    return broadcast_to(node, [k if s == -1 else s for s, k in zip(shape, kept, strict=True)])


def _copy_flat(start, stop, x, out):  # type: ignore[no-untyped-def]
    first = min(max(start, 0), FAR)
    for k in range(stop - first):
        out[first + k] = x[first + k]


def _copy_vjp(_node: Node, dy: Node) -> list[Node | None]:
    return [dy]


COPY = register(
    Op(
        name="copy",
        spec=lambda x: x,
        kernel=Rows(Body(_copy_flat), ("flat", "flat")),
        reference=lambda x: x.copy(),
        vjp=_copy_vjp,
        jvp=linear,
        examples=(Example((Draw((3, 4)),)), Example((Draw(()),))),
        formula="x",
        color=MOVEMENT,
    )
)


STOP = register(
    Op(
        name="stop_gradient",
        spec=lambda x: x,
        kernel=Alias(),
        reference=lambda x: x,
        vjp=no_gradient,
        jvp=no_flow,
        examples=(Example((Draw((3, 4)),)),),
        formula="x, with ∂ = 0",
        color=MOVEMENT,
    )
)


def stop_gradient(x: NodeLike, name: str | None = None) -> Node:
    """``x`` itself, through which no derivative flows, neither forward nor in reverse.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Input((), name="x")
    >>> f = gn.function(x, gn.grad(x * gn.stop_gradient(x), x))
    >>> float(f(3.0))  # not 6: the second factor counts as a constant
    3.0
    """
    return apply(STOP, [as_node(x)], name=name)
