"""Values of a node's shape that are one number everywhere: that shape may have a batch axis."""

from __future__ import annotations

from graphnn.node import Constant, Node, NodeLike, as_node
from graphnn.ops.movement.broadcast import broadcast_to
from graphnn.spec import as_dtype
from graphnn.values import check_number

__all__ = ["full_like", "ones_like", "zeros_like"]


def full_like(x: NodeLike, fill_value: bool | int | float, dtype: object = None) -> Node:
    """``fill_value`` everywhere, in the shape of ``x``, whatever its batch turns out to be.

    Parameters
    ----------
    x
        Any node; only its shape and dtype are read.
    fill_value
        A number.
    dtype
        That of ``x`` unless said otherwise.

    Raises
    ------
    DTypeError
        For a number that the dtype does not hold.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 2), name="x")
    >>> gn.function(x, gn.full_like(x, 0.5))(np.zeros((1, 2), np.float32))
    array([[0.5, 0.5]], dtype=float32)
    """
    node = as_node(x)
    own = node.dtype if dtype is None else as_dtype(dtype)
    check_number(fill_value, own, "full_like", node.name)
    return broadcast_to(Constant(fill_value, dtype=own), node.spec.shape)


def zeros_like(x: NodeLike, dtype: object = None) -> Node:
    """0 everywhere, in the shape and dtype of ``x``: see :func:`full_like`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.zeros_like(gn.Input((None, 2))).shape
    (None, 2)
    """
    return _like(x, 0, dtype)


def ones_like(x: NodeLike, dtype: object = None) -> Node:
    """1 everywhere, in the shape and dtype of ``x``: see :func:`full_like`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.ones_like(gn.Input((None, 2)), dtype="int64").dtype
    'int64'
    """
    return _like(x, 1, dtype)


def _like(x: NodeLike, value: int, dtype: object) -> Node:
    node = as_node(x)
    own = node.dtype if dtype is None else as_dtype(dtype)
    return full_like(node, bool(value) if own == "bool" else value, own)
