"""Elements chosen by whole numbers, and their reverse: sums into the chosen places.

An index that is out of range raises where it can be seen: in constants when the graph is declared,
in inputs before a call. Where indices are computed, one out of range takes 0 and adds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.context import declared_at
from graphnn.errors import DTypeError, ShapeError
from graphnn.hints import teaches
from graphnn.node import Constant, Node, NodeLike, apply, as_node, as_nodes
from graphnn.op import Draw, Example, Mismatch, Op, Rows, register
from graphnn.ops.declare.axes import as_axis
from graphnn.ops.declare.tangents import linear
from graphnn.ops.elementwise.choice import not_equal, where
from graphnn.ops.movement.broadcast import broadcast_to
from graphnn.ops.movement.copy import FAR, stop_gradient
from graphnn.ops.movement.reshape import MOVEMENT, expand_dims, reshape
from graphnn.source import Body
from graphnn.spec import FLOATS, DimLike, TensorSpec, format_shape

__all__ = ["embedding", "scatter_add", "take"]

WHOLE = ("int64", "int32")


def check_indices(indices: TensorSpec) -> None:
    """Raise where indices are no whole numbers."""
    if indices.dtype not in WHOLE:
        raise Mismatch("int64 or int32 indices", "Cast them: gn.cast(i, 'int64').", dtype=True)


def _take_spec(x: TensorSpec, indices: TensorSpec, *, axis: int) -> TensorSpec:
    check_indices(indices)
    if not 0 <= axis < x.ndim or indices.ndim != 1:
        raise Mismatch(f"an axis {axis}, and indices in one row", "Use gn.take.")
    return x.with_shape((*x.shape[:axis], indices.shape[0], *x.shape[axis + 1 :]))


def _take_flat(start, stop, x, indices, out):  # type: ignore[no-untyped-def]
    size, count, inner = x.shape[1], out.shape[1], out.shape[2]
    for row in range(start // inner, (stop - 1) // inner + 1 if start < stop else 0):
        outer = row // count
        j = row - outer * count
        begin = min(max(start - row * inner, 0), FAR)
        width = min(stop - row * inner, inner) - begin
        chosen = indices[j]
        if 0 <= chosen < size:
            for k in range(width):
                out[outer, j, begin + k] = x[outer, chosen, begin + k]
        else:
            for k in range(width):
                out[outer, j, begin + k] = 0


def _take_reference(x: NDArray[Any], indices: NDArray[Any], *, axis: int) -> NDArray[Any]:
    size = x.shape[axis]
    inside = (indices >= 0) & (indices < size)
    if size == 0:
        return np.zeros((*x.shape[:axis], len(indices), *x.shape[axis + 1 :]), x.dtype)
    found = np.take(x, np.where(inside, indices, 0), axis)
    np.moveaxis(found, axis, 0)[~inside] = 0
    return found


def _take_vjp(node: Node, dy: Node) -> list[Node | None]:
    x, indices = node.inputs
    axis = node.attrs["axis"]
    return [apply(SCATTER_ADD, [dy, indices], {"axis": axis, "size": x.spec.shape[axis]}), None]


def _take_bounds(
    x: TensorSpec, _indices: TensorSpec, *, axis: int
) -> Mapping[int, tuple[int, DimLike]]:
    return {1: (0, x.shape[axis])}


TAKE = register(
    Op(
        name="take",
        spec=_take_spec,
        kernel=Rows(Body(_take_flat), ("around", "all", "around")),
        reference=_take_reference,
        vjp=_take_vjp,
        jvp=linear,
        bounds=_take_bounds,
        examples=(
            Example((Draw((5, 3)), Draw((8,), 0, 5, "int64")), {"axis": 0}),
            Example((Draw((2, 4, 3)), Draw((5,), 0, 4, "int64")), {"axis": 1}),
            Example((Draw((3, 6)), Draw((4,), 0, 6, "int32")), {"axis": 1}),
            Example((Draw((7,)), Draw((9,), 0, 7, "int64")), {"axis": 0}),
            Example((Draw((1, 6, 40)), Draw((1,), 0, 6, "int64")), {"axis": 1}),
        ),
        formula="x[i]",
        color=MOVEMENT,
    )
)


def _scatter_spec(
    updates: TensorSpec, indices: TensorSpec, *, axis: int, size: DimLike
) -> TensorSpec:
    check_indices(indices)
    if not 0 <= axis < updates.ndim or indices.shape != (updates.shape[axis],):
        raise Mismatch(
            f"one index for each of the updates along axis {axis}", "Use gn.scatter_add."
        )
    return updates.with_shape((*updates.shape[:axis], size, *updates.shape[axis + 1 :]))


def _scatter_flat(start, stop, updates, indices, out):  # type: ignore[no-untyped-def]
    # Each lane looks at all indices, and adds what falls into its own elements, in their order.
    count, size, inner = updates.shape[1], out.shape[1], out.shape[2]
    whole = size * inner
    for outer in range(start // whole, (stop - 1) // whole + 1 if start < stop else 0):
        base = outer * whole
        for j in range(size):
            place = base + j * inner
            begin = min(max(start - place, 0), FAR)
            for k in range(min(stop - place, inner) - begin):
                out[outer, j, begin + k] = 0
        for j in range(count):
            chosen = indices[j]
            if 0 <= chosen < size:
                place = base + chosen * inner
                begin = min(max(start - place, 0), FAR)
                for k in range(min(stop - place, inner) - begin):
                    out[outer, chosen, begin + k] += updates[outer, j, begin + k]


def _scatter_reference(
    updates: NDArray[Any], indices: NDArray[Any], *, axis: int, size: int
) -> NDArray[Any]:
    rows = np.moveaxis(updates, axis, 0)
    total = np.zeros((size, *rows.shape[1:]), updates.dtype)
    inside = (indices >= 0) & (indices < size)
    np.add.at(total, indices[inside], rows[inside])
    return np.moveaxis(total, 0, axis)


def _scatter_vjp(node: Node, dy: Node) -> list[Node | None]:
    return [apply(TAKE, [dy, node.inputs[1]], {"axis": node.attrs["axis"]}), None]


def _scatter_bounds(
    _updates: TensorSpec, _indices: TensorSpec, *, axis: int, size: DimLike
) -> Mapping[int, tuple[int, DimLike]]:
    return {1: (0, size)}


SCATTER_ADD = register(
    Op(
        name="scatter_add",
        spec=_scatter_spec,
        kernel=Rows(Body(_scatter_flat), ("around", "all", "around")),
        reference=_scatter_reference,
        vjp=_scatter_vjp,
        jvp=linear,
        bounds=_scatter_bounds,
        flops=lambda _out, updates, *_rest, **_attrs: updates.size,
        examples=(
            Example((Draw((8, 3)), Draw((8,), 0, 5, "int64")), {"axis": 0, "size": 5}),
            Example((Draw((2, 5, 3)), Draw((5,), 0, 4, "int64")), {"axis": 1, "size": 4}),
            Example((Draw((3, 4)), Draw((4,), 0, 6, "int32")), {"axis": 1, "size": 6}),
            Example((Draw((9,)), Draw((9,), 0, 3, "int64")), {"axis": 0, "size": 3}),
            Example((Draw((1, 6, 40)), Draw((6,), 0, 1, "int64")), {"axis": 1, "size": 1}),
        ),
        formula="y[i] += x",
        color=MOVEMENT,
    )
)


def as_indices(what: str, indices: NodeLike, size: DimLike) -> Node:
    """Indices as a node; those that are known already are checked and counted from the front."""
    if isinstance(indices, Node) and not isinstance(indices, Constant):
        return indices
    array = indices.array if isinstance(indices, Constant) else np.asarray(indices)
    if array.size == 0 and array.dtype.kind == "f":
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu" or not isinstance(size, int):
        return as_node(array)
    wrong = (array < -size) | (array >= size)
    if wrong.any():
        raise ShapeError(
            f"{what}: index {array[wrong].flat[0]} is out of range for an axis of {size} elements. "
            f"Declared at {declared_at()}. Use indices from {-size} to {size - 1}."
        )
    return Constant(np.where(array < 0, array + size, array).astype(np.int64))


@teaches
def take(x: NodeLike, indices: NodeLike, axis: int | None = None, name: str | None = None) -> Node:
    """The elements with the given indices along an axis.

    Parameters
    ----------
    x
        Any shape.
    indices
        Any shape, int64 or int32. Known ones may be negative and count from the end.
    axis
        Which axis; None: ``x`` as one row.

    Returns
    -------
    Node
        Shape ``x.shape[:axis] + indices.shape + x.shape[axis + 1:]``.

    Raises
    ------
    ShapeError, DTypeError
        If a known index is out of range, or indices are no whole numbers. Given ones out of range
        raise when data is given; computed ones take 0.

    Examples
    --------
    >>> import graphnn as gn
    >>> x, i = gn.Input((None, 10)), gn.Input((4, 2), "int64")
    >>> gn.take(x, i, axis=1).shape
    (None, 4, 2)
    """
    node = as_node(x)
    if axis is None:
        node, axis = reshape(node, (node.spec.size,)), 0
    place = as_axis(node, axis, "take")
    shape = node.spec.shape
    chosen = as_indices("take", indices, shape[place])
    row = reshape(chosen, (chosen.spec.size,))
    found = apply(TAKE, [node, row], {"axis": place}, name=name)
    return reshape(found, (*shape[:place], *chosen.spec.shape, *shape[place + 1 :]))


@teaches
def scatter_add(
    x: NodeLike, indices: NodeLike, updates: NodeLike, axis: int = 0, name: str | None = None
) -> Node:
    """``x`` with ``updates`` added at the given indices along an axis: the reverse of ``take``.

    Equal indices add up, in the order in which they stand, on any number of threads.

    Parameters
    ----------
    x
        Any shape.
    indices
        Any shape, int64 or int32.
    updates
        Shape ``x.shape[:axis] + indices.shape + x.shape[axis + 1:]``, or broadcasts to it.
    axis
        Which axis.

    Raises
    ------
    ShapeError, DTypeError
        As :func:`take`; computed indices out of range add nothing.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Constant([0.0, 0.0, 0.0])
    >>> gn.function([], gn.scatter_add(x, [2, 0, 2], [1.0, 2.0, 3.0]))()
    array([2., 0., 4.], dtype=float32)
    """
    node, added = as_nodes(x, updates)
    place = as_axis(node, axis, "scatter_add")
    shape = node.spec.shape
    chosen = as_indices("scatter_add", indices, shape[place])
    wide = (*shape[:place], *chosen.spec.shape, *shape[place + 1 :])
    added = broadcast_to(added, wide)
    row = reshape(chosen, (chosen.spec.size,))
    rows = reshape(added, (*shape[:place], row.spec.size, *shape[place + 1 :]))
    total = apply(SCATTER_ADD, [rows, row], {"axis": place, "size": shape[place]}, name=name)
    return node + total


def embedding(
    weight: NodeLike, indices: NodeLike, padding_idx: int | None = None, name: str | None = None
) -> Node:
    """Rows of a table: ``weight[indices]``.

    Parameters
    ----------
    weight
        Shape (entries, features).
    indices
        Any shape, int64 or int32.
    padding_idx
        An entry that gets no gradient, as torch has it.

    Returns
    -------
    Node
        Shape ``indices.shape + (features,)``.

    Raises
    ------
    ShapeError, DTypeError
        As :func:`take`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.embedding(gn.Input((100, 16)), gn.Input((None, 7), "int64")).shape
    (None, 7, 16)
    """
    table = as_node(weight)
    if table.dtype not in FLOATS and isinstance(indices, Node) and indices.dtype in FLOATS:
        raise DTypeError(
            f"embedding takes (weight, indices); got {table.spec} and {indices.spec}, which are "
            f"indices and a weight. Declared at {declared_at()}. Swap them: "
            f"gn.embedding({indices.name}, {table.name})."
        )
    if table.ndim != 2:
        raise ShapeError(
            f"embedding needs a weight (entries, features); got {format_shape(table.spec.shape)}. "
            f"Declared at {declared_at()}."
        )
    entries = table.spec.shape[0]
    chosen = as_indices("embedding", indices, entries)
    if chosen.dtype not in ("int64", "int32"):
        raise DTypeError(
            f"embedding needs indices of int64 or int32; got {chosen.spec} for {chosen.name!r}. "
            f"Declared at {declared_at()}. Declare them so: gn.Input(shape, 'int64')."
        )
    rows = take(table, chosen, 0, name=name)
    if padding_idx is None:
        return rows
    if not isinstance(entries, int) or not -entries <= padding_idx < entries:
        raise ShapeError(
            f"embedding: padding_idx={padding_idx} is no row of a table of {entries}. "
            f"Declared at {declared_at()}."
        )
    free = not_equal(expand_dims(chosen, -1), padding_idx % entries)
    return where(free, rows, stop_gradient(rows))
