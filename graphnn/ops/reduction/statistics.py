"""Variance, norms and the like: compositions of reductions, careful with extreme values."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphnn.context import declared_at
from graphnn.errors import DTypeError, GraphError
from graphnn.hints import teaches
from graphnn.node import Node, NodeLike, as_node, size_of
from graphnn.ops.declare.axes import Axes, as_axes, as_axis
from graphnn.ops.elementwise.arithmetic import abs, exp, log, power, sqrt, square
from graphnn.ops.elementwise.cast import cast
from graphnn.ops.elementwise.choice import greater, less, not_equal, where
from graphnn.ops.indexing.sorting import sort
from graphnn.ops.movement.copy import stop_gradient
from graphnn.ops.movement.reshape import reshape
from graphnn.ops.movement.slicing import narrow
from graphnn.ops.movement.transpose import last_axis_order, transpose
from graphnn.ops.reduction.reduce import max, mean, min, sum
from graphnn.spec import FLOATS, product

__all__ = ["all", "any", "count_nonzero", "logsumexp", "median", "norm", "std", "var"]


def _floats(what: str, x: NodeLike) -> Node:
    node = as_node(x)
    if node.dtype not in FLOATS:
        raise DTypeError(
            f"{what} needs float32 or float64; {node.name} is {node.dtype}. "
            f"Declared at {declared_at()}. Cast it: gn.cast(x, 'float32')."
        )
    return node


def _dropped(node: Node, like: Node, axes: Sequence[int], keepdims: bool) -> Node:
    """A result with axes of size 1, without them on request."""
    if keepdims:
        return node
    return reshape(node, tuple(d for i, d in enumerate(like.spec.shape) if i not in axes))


@teaches
def var(x: NodeLike, axis: Axes = None, keepdims: bool = False, correction: float = 0) -> Node:
    """Variance: ``Σ (x - mean)² / (n - correction)``.

    Parameters
    ----------
    x
        Any shape, float.
    axis
        Over which axes; by default all.
    keepdims
        Whether they stay, with size 1.
    correction
        0, as in NumPy: of the numbers themselves. 1, as in torch: an estimate of where they come
        from (Bessel).

    Raises
    ------
    ShapeError, DTypeError
        If there is no such axis, or the numbers are no floats.

    Examples
    --------
    >>> import graphnn as gn
    >>> float(gn.function([], gn.var(gn.Constant([1.0, 2.0, 3.0, 4.0])))())
    1.25
    """
    node = _floats("var", x)
    axes = as_axes(node, axis, "var")
    spread = square(node - mean(node, axes, keepdims=True))
    count = size_of(product(node.spec.shape[a] for a in axes), node.dtype)
    if correction == 0:
        return mean(spread, axes, keepdims)
    free = count - float(correction)
    return sum(spread, axes, keepdims) / where(greater(free, 0.0), free, 0.0)


@teaches
def std(x: NodeLike, axis: Axes = None, keepdims: bool = False, correction: float = 0) -> Node:
    """Standard deviation, the root of :func:`var`; where it is 0, so is its gradient.

    Examples
    --------
    >>> import graphnn as gn
    >>> float(gn.function([], gn.std(gn.Constant([1.0, 1.0, 3.0, 3.0])))())
    1.0
    """
    return _root(var(x, axis, keepdims, correction))


def _root(x: Node) -> Node:
    """√x for x >= 0, of slope 0 where x is 0."""
    positive = greater(x, 0.0)
    return where(positive, sqrt(where(positive, x, 1.0)), x * 0.0)


def _scale(largest: Node) -> Node:
    """What to divide by so that nothing overflows: 1 where that is no number of use."""
    useful = greater(largest, 0.0)
    usable = where(less(largest, math.inf), largest, 1.0)
    return stop_gradient(where(useful, usable, 1.0))


@teaches
def norm(x: NodeLike, p: float = 2, axis: Axes = None, keepdims: bool = False) -> Node:
    """Vector norm: ``(Σ |x|ᵖ)^(1/p)``, without overflow where the result is finite.

    Parameters
    ----------
    x
        Any shape, float.
    p
        2; 1; ``inf``, the largest absolute value, ``-inf``, the smallest; 0, how many are not 0; or
        any other number.
    axis, keepdims
        As for ``sum``.

    Raises
    ------
    ShapeError, DTypeError
        If there is no such axis, or the numbers are no floats.

    Notes
    -----
    Where all is 0, the gradient is 0 too: one of the subgradients.

    Examples
    --------
    >>> import graphnn as gn
    >>> float(gn.function([], gn.norm(gn.Constant([3.0, -4.0])))())
    5.0
    """
    node = _floats("norm", x)
    axes = as_axes(node, axis, "norm")
    size = abs(node)
    if p == 1:
        return sum(size, axes, keepdims)
    if p == 0:
        return sum(cast(not_equal(node, 0.0), node.dtype), axes, keepdims)
    if math.isinf(p):
        return max(size, axes, keepdims) if p > 0 else min(size, axes, keepdims)
    scale = _scale(max(size, axes, keepdims=True))
    if p == 2:
        root = _root(sum(square(node / scale), axes, keepdims=True))
    else:
        total = sum(power(size / scale, float(p)), axes, keepdims=True)
        positive = greater(total, 0.0)
        root = where(positive, power(where(positive, total, 1.0), 1.0 / p), total * 0.0)
    return _dropped(root * scale, node, axes, keepdims)


@teaches
def logsumexp(x: NodeLike, axis: Axes = None, keepdims: bool = False) -> Node:
    """``ln Σ exp x`` without overflow; -inf where all is -inf, with a gradient of 0 there.

    Parameters
    ----------
    x
        Any shape, float.
    axis, keepdims
        As for ``sum``.

    Raises
    ------
    ShapeError, DTypeError
        If there is no such axis, or the numbers are no floats.

    Examples
    --------
    >>> import graphnn as gn
    >>> round(float(gn.function([], gn.logsumexp(gn.Constant([1000.0, 1000.0])))()), 3)
    1000.693
    """
    node = _floats("logsumexp", x)
    axes = as_axes(node, axis, "logsumexp")
    top = max(node, axes, keepdims=True)
    shift = stop_gradient(where(less(abs(top), math.inf), top, 0.0))
    total = sum(exp(node - shift), axes, keepdims=True)
    empty = less(total, 0.5)  # else it holds exp 0
    result = where(empty, -math.inf, log(where(empty, 1.0, total)) + shift)
    return _dropped(result, node, axes, keepdims)


def _is_true(x: NodeLike) -> Node:
    return cast(cast(as_node(x), "bool"), "int32")


@teaches
def any(x: NodeLike, axis: Axes = None, keepdims: bool = False) -> Node:
    """Whether any element is true, or not 0; of nothing, False.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.any(gn.Constant([0.0, 2.0])))()
    array(True)
    """
    return greater(max(_is_true(x), axis, keepdims), 0)


@teaches
def all(x: NodeLike, axis: Axes = None, keepdims: bool = False) -> Node:
    """Whether all elements are true, or not 0; of nothing, True.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.all(gn.Constant([0.0, 2.0])))()
    array(False)
    """
    return greater(min(_is_true(x), axis, keepdims), 0)


@teaches
def count_nonzero(x: NodeLike, axis: Axes = None, keepdims: bool = False) -> Node:
    """How many elements are not 0, int64.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.count_nonzero(gn.Constant([0.0, 2.0, -1.0])))()
    array(2)
    """
    return sum(cast(_is_true(x), "int64"), axis, keepdims)


@teaches
def median(x: NodeLike, axis: int | None = None, keepdims: bool = False) -> Node:
    """The middle of the sorted elements, of an even number the mean of the two, as NumPy has it.

    nan where one of them is nan. The length of the axis must be known.

    Raises
    ------
    GraphError
        If the axis has no elements, or an unknown number of them.

    Examples
    --------
    >>> import graphnn as gn
    >>> float(gn.function([], gn.median(gn.Constant([4.0, 1.0, 3.0, 2.0])))())
    2.5
    """
    node = _floats("median", x)
    flat = reshape(node, (node.spec.size,)) if axis is None else node
    place = 0 if axis is None else as_axis(node, axis, "median")
    rows = transpose(flat, last_axis_order(flat.ndim, place)[0])
    count = rows.spec.shape[-1]
    if not isinstance(count, int) or count == 0:
        raise GraphError(
            f"median needs an axis of known length, at least 1; {node.name} has {count} elements "
            f"there. Declared at {declared_at()}."
        )
    order = sort(rows)
    middle = mean(narrow(order, -1, (count - 1) // 2, 2 - count % 2), -1)
    last = reshape(narrow(order, -1, count - 1, 1), middle.spec.shape)
    result = where(not_equal(last, last), last, middle)
    gone = range(node.ndim) if axis is None else [place]
    kept = tuple(1 if i in gone else dim for i, dim in enumerate(node.spec.shape))
    return reshape(result, kept) if keepdims else result
