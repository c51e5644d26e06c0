"""Activations that gate one half of an axis by the other."""

from __future__ import annotations

from graphnn.hints import teaches
from graphnn.node import Node, NodeLike
from graphnn.ops.activation.sigmoid import sigmoid
from graphnn.ops.movement.joining import split

__all__ = ["glu"]


@teaches
def glu(x: NodeLike, axis: int = -1) -> Node:
    """Gated linear unit: ``a σ(b)``, of the two halves of an axis.

    Dauphin, Fan, Auli, Grangier, *Language modeling with gated convolutional networks* (2017),
    eq. 1.

    Raises
    ------
    ShapeError
        If the axis has no two equal halves.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.glu(gn.Input((None, 8))).shape
    (None, 4)
    """
    a, b = split(x, 2, axis)
    return a * sigmoid(b)
