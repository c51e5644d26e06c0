"""Diagonals and triangles of matrices.

A diagonal is every (columns + 1)-th element of the rows put behind each other: a slice with a step,
whose reverse pads in between.
"""

from __future__ import annotations

import numpy as np

from graphnn.context import declared_at
from graphnn.errors import GraphError, ShapeError
from graphnn.node import Constant, Node, NodeLike, apply, as_node
from graphnn.ops.declare.axes import as_axis
from graphnn.ops.elementwise.cast import cast
from graphnn.ops.elementwise.choice import equal, less_equal, where
from graphnn.ops.movement.broadcast import broadcast_to
from graphnn.ops.movement.reshape import expand_dims, reshape
from graphnn.ops.movement.slicing import padded, sliced
from graphnn.ops.movement.transpose import transpose
from graphnn.ops.reduction.cumulative import CUMSUM
from graphnn.ops.reduction.reduce import sum
from graphnn.spec import BATCH, FLOATS, DimLike, format_shape

__all__ = ["diag", "diagonal", "eye", "trace", "tril", "triu"]


def diagonal(x: NodeLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Node:
    """The diagonal of the matrices that two axes make, as the last axis of the result.

    Parameters
    ----------
    x
        At least two axes.
    offset
        Above the main diagonal; below, if negative.
    axis1, axis2
        Rows and columns of the matrices.

    Raises
    ------
    ShapeError, GraphError
        If there are no such axes, or the length would not be known for every batch size. A square
        matrix of unknown size needs more rows than the offset.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.diagonal(gn.Input((None, 3, 4)), axis1=1, axis2=2).shape
    (None, 3)
    """
    node = as_node(x)
    a, b = as_axis(node, axis1, "diagonal"), as_axis(node, axis2, "diagonal")
    if a == b:
        raise ShapeError(
            f"diagonal: two different axes of {node.name}; got {axis1} and {axis2}. "
            f"Declared at {declared_at()}."
        )
    order = [i for i in range(node.ndim) if i not in (a, b)] + [a, b]
    matrices = transpose(node, order)
    *batch, rows, columns = matrices.spec.shape
    start: DimLike = offset if offset >= 0 else -1 * offset * columns
    count = _length(matrices, rows, columns, offset)
    flat = reshape(matrices, (*batch, rows * columns))
    step: DimLike = 1 if count == 0 else columns + 1
    if count == 0:
        start, rest = 0, rows * columns
    else:
        rest = rows * columns - start - (count - 1) * step - 1
    none = (0,) * len(batch)
    return sliced(flat, (*none, start), (*none, rest), (*(1,) * len(batch), step))


def _length(x: Node, rows: DimLike, columns: DimLike, offset: int) -> DimLike:
    """How many elements a diagonal has."""
    if rows == columns:
        count = rows - abs(offset)
        return max(count, 0) if isinstance(count, int) else count
    if isinstance(rows, int) and isinstance(columns, int):
        return max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    raise GraphError(
        f"diagonal: its length is not known for every size of {format_shape(x.spec.shape)}. "
        f"Declared at {declared_at()}. Slice a square matrix first."
    )


def diag(x: NodeLike, k: int = 0) -> Node:
    """A vector as the diagonal of a square matrix; of a matrix, its diagonal.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.diag(gn.Constant([1.0, 2.0])))()
    array([[1., 0.],
           [0., 2.]], dtype=float32)
    """
    node = as_node(x)
    if node.ndim == 2:
        return diagonal(node, k)
    if node.ndim != 1:
        raise ShapeError(
            f"diag takes a vector or a matrix; {node.name} has shape "
            f"{format_shape(node.spec.shape)}. Declared at {declared_at()}. Use gn.diagonal."
        )
    count = node.spec.shape[0]
    size = count + abs(k)
    if count == 0:
        return broadcast_to(Constant(0, dtype=node.dtype), (size, size))
    start: DimLike = k if k >= 0 else -1 * k * size
    end = size * size - start - (count - 1) * (size + 1) - 1
    return reshape(padded(node, (start,), (end,), (size,)), (size, size))


def trace(x: NodeLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Node:
    """The sum of the diagonal, otherwise as :func:`diagonal`.

    Examples
    --------
    >>> import graphnn as gn
    >>> float(gn.function([], gn.trace(gn.Constant([[1.0, 2.0], [3.0, 4.0]])))())
    5.0
    """
    return sum(diagonal(x, offset, axis1, axis2), -1)


def eye(n: DimLike | None, m: DimLike | None = -1, k: int = 0, dtype: str = "float32") -> Node:
    """1 on a diagonal, 0 elsewhere: shape (n, m), by default square; ``None`` is the batch size.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.eye(2, 3))()
    array([[1., 0., 0.],
           [0., 1., 0.]], dtype=float32)
    """
    rows = BATCH if n is None else n
    columns = rows if m == -1 else BATCH if m is None else m
    return cast(equal(_beyond(rows, columns), k), dtype)


def tril(x: NodeLike, k: int = 0) -> Node:
    """The lower triangle of matrices: elements above diagonal ``k`` become 0.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.tril(gn.Constant([[1.0, 2.0], [3.0, 4.0]])))()
    array([[1., 0.],
           [3., 4.]], dtype=float32)
    """
    return _triangle(x, k, "tril", lower=True)


def triu(x: NodeLike, k: int = 0) -> Node:
    """The upper triangle of matrices: elements below diagonal ``k`` become 0.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.triu(gn.Constant([[1.0, 2.0], [3.0, 4.0]])))()
    array([[1., 2.],
           [0., 4.]], dtype=float32)
    """
    return _triangle(x, k, "triu", lower=False)


def _triangle(x: NodeLike, k: int, what: str, lower: bool) -> Node:
    node = as_node(x)
    if node.ndim < 2:
        raise ShapeError(
            f"{what} takes matrices; {node.name} has shape {format_shape(node.spec.shape)}. "
            f"Declared at {declared_at()}."
        )
    distance = _beyond(*node.spec.shape[-2:])
    nothing = Constant(0.0 if node.dtype in FLOATS else 0, dtype=node.dtype)
    below = less_equal(distance, k if lower else k - 1)
    return where(below, node, nothing) if lower else where(below, nothing, node)


def _beyond(rows: DimLike, columns: DimLike) -> Node:
    """How far each element of a matrix lies to the right of the main diagonal."""
    return expand_dims(_counted(columns), 0) - expand_dims(_counted(rows), 1)


def _counted(size: DimLike) -> Node:
    """0, 1, 2, ... up to a size that may be known only at run time."""
    if isinstance(size, int):
        return Constant(np.arange(size))
    ones = broadcast_to(Constant(1, dtype="int64"), (size,))
    return apply(CUMSUM, [ones], {"reverse": 0}) - 1
