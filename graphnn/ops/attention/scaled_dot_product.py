"""``gn.scaled_dot_product_attention``."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphnn.context import declared_at
from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.node import Node, NodeLike, as_node, as_nodes
from graphnn.ops.attention.tiles import attend
from graphnn.ops.movement.broadcast import broadcast_to
from graphnn.ops.movement.reshape import reshape
from graphnn.ops.random.dropout import checked_share
from graphnn.spec import FLOATS, DimLike, Shape, broadcast_shapes, format_shape, product
from graphnn.values import is_number

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: NodeLike,
    key: NodeLike,
    value: NodeLike,
    attn_mask: NodeLike | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    name: str | None = None,
) -> Node:
    """``softmax(scale Q Kᵀ + mask) V``: for each query a mean of the values, weighted by the keys.

    Vaswani et al., *Attention is all you need* (2017), eq. 1, computed in tiles as in
    FlashAttention-2 (Dao, 2023): neither forward nor in reverse does memory grow with the product
    of the two lengths. It does for the gradient of ``attn_mask``, for forward mode and for second
    derivatives, which are composed of plain ops.

    A query that the masks leave no key has the result 0 and hands no gradient on, as in torch.

    Parameters
    ----------
    query
        (..., queries, width), float32 or float64.
    key
        (..., keys, width).
    value
        (..., keys, depth). The leading axes of all three broadcast.
    attn_mask
        Broadcasts to (..., queries, keys). Of bools: True takes part. Of floats: added to the
        scores, and differentiated like any input.
    dropout_p
        Probability with which a weight is dropped in training, in [0, 1); in inference nothing is.
        The mask is drawn again in the reverse pass, never kept.
    is_causal
        Query i sees the keys 0..i; instead of a mask.
    scale
        Of the scores; None: 1/√width.
    name
        Of the node.

    Returns
    -------
    Node
        (..., queries, depth).

    Raises
    ------
    ShapeError, DTypeError
        If the shapes or dtypes do not fit.
    GraphError
        For a mask beside ``is_causal``, or numbers that are none.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 4, 10, 16), name="x")  # (batch, heads, length, features)
    >>> gn.scaled_dot_product_attention(x, x, x, is_causal=True).shape
    (None, 4, 10, 16)
    >>> one = np.ones((1, 1), np.float32)
    >>> found = gn.scaled_dot_product_attention(
    ...     one, np.float32([[0], [0]]), np.float32([[2], [4]])
    ... )
    >>> gn.function([], found)()
    array([[3.]], dtype=float32)
    """
    q, k, v = as_nodes(query, key, value)
    lead = _leading(q, k, v)
    p = checked_share("scaled_dot_product_attention", dropout_p)
    mask = None if attn_mask is None else _checked_mask(attn_mask, lead, q, k)
    if mask is not None and is_causal:
        raise GraphError(
            "scaled_dot_product_attention takes attn_mask or is_causal=True, not both. "
            f"Declared at {declared_at()}. Join them: mask & gn.tril(...)."
        )
    wide = [_with_two(broadcast_to(x, (*lead, *x.spec.shape[-2:])), lead) for x in (q, k, v)]
    masked = None if mask is None else _mask_with_two(mask, lead)
    factor = default_scale(q.spec.shape[-1]) if scale is None else checked_scale(scale)
    out = attend(wide[0], wide[1], wide[2], masked, p, is_causal, factor, 1, name)
    return reshape(out, (*lead, q.spec.shape[-2], v.spec.shape[-1]))


def default_scale(width: DimLike) -> float:
    """1/√width."""
    if not isinstance(width, int):
        raise ShapeError(
            f"the width of a query is a number, or the scale is given; got {width}. "
            f"Declared at {declared_at()}."
        )
    return 1 / math.sqrt(max(width, 1))


def checked_scale(scale: float) -> float:
    """A number that scores can be multiplied by."""
    if not is_number(scale) or not math.isfinite(scale):
        raise GraphError(f"scale is a finite number; got {scale!r}. Declared at {declared_at()}.")
    return float(scale)


def _leading(q: Node, k: Node, v: Node) -> Shape:
    """The axes before length and width, broadcast; raises where anything does not fit."""
    shapes = [x.spec.shape for x in (q, k, v)]
    if {q.dtype} != {k.dtype, v.dtype} or q.dtype not in FLOATS:
        raise DTypeError(
            "scaled_dot_product_attention needs query, key and value of one dtype, float32 or "
            f"float64; got {q.dtype}, {k.dtype} and {v.dtype} for {q.name!r}, {k.name!r} and "
            f"{v.name!r}. Declared at {declared_at()}. Cast one: gn.cast(x, 'float32')."
        )
    needed = ""
    if min(len(shape) for shape in shapes) < 2:
        needed = "at least two axes (..., length, width)"
    elif shapes[0][-1] != shapes[1][-1]:
        needed = "query.shape[-1] == key.shape[-1]"
    elif shapes[1][-2] != shapes[2][-2]:
        needed = "key.shape[-2] == value.shape[-2]"
    lead = None if needed else broadcast_shapes(*(shape[:-2] for shape in shapes))
    if lead is None:
        got = ", ".join(map(format_shape, shapes))
        raise ShapeError(
            f"scaled_dot_product_attention needs {needed or 'leading axes that broadcast'}; got "
            f"{got} for {q.name!r}, {k.name!r} and {v.name!r}. Declared at {declared_at()}."
        )
    return lead


def _checked_mask(given: NodeLike, lead: Shape, q: Node, k: Node) -> Node:
    mask = as_node(given, q)
    check_mask("attn_mask", mask, q)
    scores = (*lead, q.spec.shape[-2], k.spec.shape[-2])
    if broadcast_shapes(mask.spec.shape, scores) != scores:
        raise ShapeError(
            f"attn_mask needs a shape that broadcasts to {format_shape(scores)}; got "
            f"{format_shape(mask.spec.shape)} for {mask.name!r}. Declared at {declared_at()}."
            f"{turned(mask.spec.shape, [scores[-2:], scores])}"
        )
    return mask


def check_mask(what: str, mask: Node, q: Node) -> None:
    """Raise for a mask that is neither of bools nor of the query's floats."""
    if mask.dtype not in ("bool", q.dtype):
        to = q.dtype if mask.dtype in FLOATS else "bool"
        raise DTypeError(
            f"{what} is of bools, or {q.dtype} as the query and added to the scores; got "
            f"{mask.spec} for {mask.name!r}. Declared at {declared_at()}. Cast it: "
            f"gn.cast(mask, {to!r})."
        )


def turned(shape: Shape, wanted: Sequence[Shape]) -> str:
    """What to write where a mask is (keys, queries)."""
    if len(shape) < 2 or (*shape[:-2], shape[-1], shape[-2]) not in wanted:
        return ""
    return " It is (..., keys, queries): write gn.swapaxes(mask, -1, -2)."


def _with_two(x: Node, lead: Shape) -> Node:
    """With exactly two leading axes: all but the first are heads."""
    first, rest = (lead[0], product(lead[1:])) if lead else (1, 1)
    return reshape(x, (first, rest, *x.spec.shape[len(lead) :]))


def _mask_with_two(mask: Node, lead: Shape) -> Node:
    """The same of a mask, which stays small along axes that it is the same for."""
    shape = (1,) * (len(lead) + 2 - mask.ndim) + mask.spec.shape
    first, between, last = shape[:1] if lead else (1,), shape[1 : len(lead)], shape[len(lead) :]
    if set(between) <= {1}:
        return reshape(mask, (*first, 1, *last))
    wide = broadcast_to(reshape(mask, shape), (*first, *lead[1:], *last))
    return reshape(wide, (*first, product(lead[1:]), *last))
