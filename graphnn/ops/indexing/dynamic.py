"""Places in an array that are known only when a function is called."""

from __future__ import annotations

import numpy as np

from graphnn.context import declared_at
from graphnn.errors import DTypeError, ShapeError
from graphnn.node import Node, NodeLike, as_node, as_nodes
from graphnn.ops.declare.axes import as_axis
from graphnn.ops.elementwise.cast import cast
from graphnn.ops.elementwise.choice import equal, less, logical_and, where
from graphnn.ops.elementwise.rounding import clip
from graphnn.ops.indexing.take import take
from graphnn.ops.movement.reshape import reshape
from graphnn.spec import format_shape

__all__ = ["dynamic_update_slice"]


def dynamic_update_slice(x: NodeLike, update: NodeLike, start: NodeLike, axis: int = 0) -> Node:
    """``x`` with ``update`` written over it, from the place ``start`` of one axis on.

    What would lie outside of ``x`` is left out. It is an elementwise choice, so that a parameter
    that takes it as its new value is written where it lies, without a copy.

    Parameters
    ----------
    x
        Any shape; the size of ``axis`` is a number.
    update
        The same, but for the size of ``axis``, which is a number and may be smaller.
    start
        A whole number, (): known only at the call.
    axis
        Along which ``update`` lies somewhere.

    Returns
    -------
    Node
        Of the shape and dtype of ``x``.

    Raises
    ------
    ShapeError, DTypeError
        If the shapes or dtypes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> cache = gn.Parameter(np.zeros((4, 1), np.float32), trainable=False)
    >>> row, place = gn.Input((1, 1), name="row"), gn.Input((), "int64", name="place")
    >>> write = gn.function(
    ...     [row, place], [], updates=[(cache, gn.dynamic_update_slice(cache, row, place))]
    ... )
    >>> _ = write([[5]], 2)
    >>> cache.value.ravel()
    array([0., 0., 5., 0.], dtype=float32)
    """
    node, new = as_nodes(x, update)
    at = as_node(start)
    place = as_axis(node, axis, "dynamic_update_slice")
    if new.dtype != node.dtype or at.dtype not in ("int64", "int32"):
        raise DTypeError(
            f"dynamic_update_slice needs an update of {node.dtype} and a start of whole numbers; "
            f"got {new.dtype} and {at.dtype}. Declared at {declared_at()}."
        )
    rest = (*node.spec.shape[:place], *node.spec.shape[place + 1 :])
    own = new.spec.shape
    size, count = node.spec.shape[place], own[place] if len(own) == node.ndim else None
    fits = (*own[:place], *own[place + 1 :]) == rest and not at.ndim
    if not isinstance(count, int) or not isinstance(size, int) or not fits:
        raise ShapeError(
            f"dynamic_update_slice needs an update like {format_shape(node.spec.shape)} but for "
            f"axis {place}, and a start (); got {format_shape(own)} and "
            f"{format_shape(at.spec.shape)}. Declared at {declared_at()}."
        )
    behind, at = [1] * (node.ndim - place - 1), cast(at, "int64")
    index = np.arange(size)
    if count == 1:
        return where(reshape(equal(index, at), (-1, *behind)), new, node)
    offset = index - at
    inside = logical_and(less(-1, offset), less(offset, count))
    rows = take(new, clip(offset, 0, count - 1), axis=place)
    return where(reshape(inside, (-1, *behind)), rows, node)
