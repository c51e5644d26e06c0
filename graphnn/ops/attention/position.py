"""Positions in a sequence, as numbers that a network can read."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.context import declared_at
from graphnn.errors import GraphError, ShapeError
from graphnn.node import Constant, Node, NodeLike, as_node
from graphnn.ops.declare.axes import as_axis
from graphnn.ops.indexing.take import take
from graphnn.ops.movement.joining import concat
from graphnn.ops.movement.reshape import reshape
from graphnn.ops.movement.slicing import narrow
from graphnn.spec import DimLike, as_dtype, format_shape
from graphnn.values import is_number

__all__ = ["rotary", "sinusoidal_encoding"]


def _angles(length: int, pairs: int, base: float) -> NDArray[np.float64]:
    """``position / base^(i / pairs)``, (length, pairs)."""
    rates = np.exp(np.arange(pairs) * (-math.log(base) / max(pairs, 1)))
    return np.asarray(np.outer(np.arange(length), rates))


def _check(what: str, length: int, width: int, base: float) -> None:
    sizes = [isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in (length, width)]
    if not all(sizes) or width % 2 or not is_number(base) or base <= 0:
        raise GraphError(
            f"{what} takes a length, an even width and a base > 0; got {length!r}, {width!r} and "
            f"{base!r}. Declared at {declared_at()}."
        )


def sinusoidal_encoding(
    length: int, width: int, base: float = 10000.0, dtype: object = "float32"
) -> Node:
    """``PE[p, 2i] = sin(p / base^(2i/width))``, ``PE[p, 2i+1] = cos(p / base^(2i/width))``.

    Vaswani et al., *Attention is all you need* (2017), section 3.5.

    Parameters
    ----------
    length
        Number of positions.
    width
        Features of a position, an even number.
    base
        Of the longest wave, 2π base.
    dtype
        float32 or float64.

    Returns
    -------
    Node
        A constant (length, width).

    Raises
    ------
    GraphError
        For other numbers.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.sinusoidal_encoding(2, 4))().round(3)
    array([[0.   , 1.   , 0.   , 1.   ],
           [0.841, 0.54 , 0.01 , 1.   ]], dtype=float32)
    """
    _check("sinusoidal_encoding", length, width, base)
    angles = _angles(length, width // 2, base)
    table = np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, width)
    return Constant(table.astype(as_dtype(dtype)), name="sinusoidal encoding")


def rotary(
    x: NodeLike,
    base: float = 10000.0,
    axis: int = -2,
    positions: NodeLike | None = None,
    max_len: int | None = None,
) -> Node:
    """Rotary position embedding: pairs of features turned by an angle that grows with the position.

    ``(x_i, x_{i+w/2})`` at position p is turned by ``p / base^(2i/w)``, so that the product of a
    query and a key depends on their distance alone (Su et al., *RoFormer*, 2021, eq. 34; the
    halves are paired as in GPT-NeoX and Llama).

    Parameters
    ----------
    x
        (..., length, ..., width), float, the width an even number.
    base
        Of the longest wave.
    axis
        That of the length.
    positions
        (length,), whole numbers in [0, max_len); None: 0, 1, 2, ...
    max_len
        With ``positions``, or where the length comes with the call: how many there may be.

    Returns
    -------
    Node
        Of the shape of ``x``.

    Raises
    ------
    GraphError, ShapeError
        For an odd width, a length that is no number, or positions without ``max_len``.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 4, 10, 16), name="x")  # (batch, heads, length, width)
    >>> gn.rotary(x).shape
    (None, 4, 10, 16)
    >>> q, k = np.float32([[1, 0]] * 4), np.float32([[0, 1]] * 4)
    >>> scores = gn.function([], gn.rotary(q) @ gn.rotary(k).T)()
    >>> bool(np.isclose(scores[0, 1], scores[2, 3]))  # one step apart, wherever that is
    True
    """
    node = as_node(x)
    place = as_axis(node, axis, "rotary")
    length, width = node.spec.shape[place], node.spec.shape[-1]
    known = isinstance(length, int) or max_len is not None
    if not known or not isinstance(width, int) or place == node.ndim - 1:
        raise ShapeError(
            f"rotary needs an axis of a known length before that of the features, or max_len; got "
            f"{format_shape(node.spec.shape)} and axis {axis}. Declared at {declared_at()}."
        )
    if positions is not None and max_len is None:
        raise GraphError(f"rotary needs max_len with positions. Declared at {declared_at()}.")
    rows: Any = length if max_len is None else max_len
    _check("rotary", rows, width, base)
    angles = _angles(rows, width // 2, base)
    shape: list[DimLike] = [1] * node.ndim
    shape[place], shape[-1] = length, width // 2

    def table(values: NDArray[np.float64]) -> Node:
        made: Node = Constant(values.astype(as_dtype(node.dtype)))
        if positions is not None:
            made = take(made, positions, axis=0)
        elif rows != length:
            made = narrow(made, 0, 0, length)
        return reshape(made, tuple(shape))

    cos, sin = table(np.cos(angles)), table(np.sin(angles))
    half = width // 2
    a, b = narrow(node, -1, 0, half), narrow(node, -1, half, half)
    return concat([a * cos - b * sin, a * sin + b * cos], -1)
