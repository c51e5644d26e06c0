"""Ops of steps and bounds: sign, rounding, clipping. What is flat has a gradient, and it is 0."""

from __future__ import annotations

import math

import numpy as np

from graphnn.context import declared_at
from graphnn.errors import GraphError
from graphnn.node import Node, NodeLike, as_node, as_nodes
from graphnn.ops.declare.elementwise import elementwise
from graphnn.ops.elementwise.arithmetic import ARITHMETIC, divide, multiply
from graphnn.spec import FLOATS

__all__ = ["ceil", "clip", "floor", "round", "sign", "trunc"]

# Whole numbers are the kinks of rounding down and up, halves those of rounding to the nearest.
WHOLE = (-2.5, 2.5, -2, -1, 0, 1, 2)
HALVES = (-2.0, 2.0, -1.5, -0.5, 0.5, 1.5)


@elementwise(
    domain=[(-2, 2, 0)], reference=np.sign, floats=False, formula="sign x", color=ARITHMETIC
)
def sign(x):  # type: ignore[no-untyped-def]
    """-1, 0 or 1; nan of nan.

    >>> gn.function([], gn.sign([-3.0, 0.0, 0.5]))()
    array([-1.,  0.,  1.], dtype=float32)
    """
    return 1 if x > 0 else (-1 if x < 0 else x)


@sign.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return 0


@elementwise(domain=[WHOLE], reference=np.floor, formula="⌊x⌋", color=ARITHMETIC)
def floor(x):  # type: ignore[no-untyped-def]
    """The greatest whole number that is not above x, as a float.

    >>> gn.function([], gn.floor([-1.5, 0.2, 2.0]))()
    array([-2.,  0.,  2.], dtype=float32)
    """
    return math.floor(x)


@floor.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return 0


@elementwise(domain=[WHOLE], reference=np.ceil, formula="⌈x⌉", color=ARITHMETIC)
def ceil(x):  # type: ignore[no-untyped-def]
    """The least whole number that is not below x, as a float.

    >>> gn.function([], gn.ceil([-1.5, 0.2, 2.0]))()
    array([-1.,  1.,  2.], dtype=float32)
    """
    return math.ceil(x)


@ceil.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return 0


@elementwise(domain=[WHOLE], reference=np.trunc, formula="x without its fraction", color=ARITHMETIC)
def trunc(x):  # type: ignore[no-untyped-def]
    """The whole number next to x on the side of 0, as a float.

    >>> gn.function([], gn.trunc([-1.5, 0.2, 2.0]))()
    array([-1.,  0.,  2.], dtype=float32)
    """
    return math.trunc(x)


@trunc.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return 0


@elementwise(
    domain=[HALVES],
    reference=np.rint,
    formula="the nearest whole number",
    color=ARITHMETIC,
    name="round",
)
def _nearest(x):  # type: ignore[no-untyped-def]
    return np.rint(x)


@_nearest.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return 0


def round(x: NodeLike, decimals: int = 0, name: str | None = None) -> Node:
    """``x`` rounded to ``decimals`` places; what lies in the middle, to the even one.

    Parameters
    ----------
    x
        float32 or float64, any shape.
    decimals
        Places behind the point; negative ones stand before it.
    name
        Name of the node.

    Returns
    -------
    Node
        Of the shape and dtype of ``x``. Its gradient is 0.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None,), name="x")
    >>> gn.function(x, gn.round(x))(np.float32([0.5, 1.5, -1.2]))
    array([ 0.,  2., -1.], dtype=float32)
    """
    if decimals == 0:
        return _nearest(x, name=name)
    scale = 10.0 ** abs(decimals)
    wide, back = (multiply, divide) if decimals > 0 else (divide, multiply)
    return back(_nearest(wide(x, scale)), scale, name=name)


@elementwise(
    domain=[(-2, 2, -1, 1), (-1.05, -0.95), (0.95, 1.05)],
    reference=np.clip,
    floats=False,
    formula="min(max(x, low), high)",
    color=ARITHMETIC,
    name="clip",
)
def _clip(x, low, high):  # type: ignore[no-untyped-def]
    raised = x if x > low or x != x else low
    return raised if raised < high or raised != raised else high


@_clip.backward
def _(dy, x, low, high, y):  # type: ignore[no-untyped-def]
    # As torch.clamp: a value on its bound is not held back by it.
    return (
        dy if x >= low and x <= high else 0,
        dy if x < low and low < high else 0,
        dy if x > high or high < low else 0,
    )


def clip(
    x: NodeLike,
    min: NodeLike | None = None,
    max: NodeLike | None = None,
    name: str | None = None,
) -> Node:
    """``x``, raised to ``min`` where it is below and lowered to ``max`` where it is above.

    Parameters
    ----------
    x
        Numbers, any shape.
    min, max
        Numbers, or nodes that broadcast with ``x``; None: no bound on that side. Where
        ``min > max``, the result is ``max``.
    name
        Name of the node.

    Returns
    -------
    Node
        Of the dtype of ``x``. The cotangent passes where ``min <= x <= max``, and goes to the bound
        elsewhere, as in torch.clamp.

    Raises
    ------
    GraphError
        If neither bound is given.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None,), name="x")
    >>> gn.function(x, gn.clip(x, 0, 1))(np.float32([-1, 0.5, 3]))
    array([0. , 0.5, 1. ], dtype=float32)
    """
    if min is None and max is None:
        raise GraphError(
            f"clip needs min or max; both are None. Declared at {declared_at()}. "
            "Did you mean gn.clip(x, 0, 1)?"
        )
    node, *_ = as_nodes(*(value for value in (x, min, max) if value is not None))
    lowest: float = -np.inf if node.dtype in FLOATS else np.iinfo(node.dtype).min
    highest: float = np.inf if node.dtype in FLOATS else np.iinfo(node.dtype).max
    low = as_node(lowest if min is None else min, node)
    high = as_node(highest if max is None else max, node)
    return _clip(node, low, high, name=name)
