"""Order: argsort, sort, topk, and the place of the largest and the smallest.

nan counts as larger than every number, as in torch and NumPy: it comes last, or first where the
order descends. Equal elements keep their order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.context import declared_at
from graphnn.errors import ShapeError
from graphnn.hints import teaches
from graphnn.node import Node, NodeLike, apply, as_node
from graphnn.op import Draw, Example, Mismatch, Op, Rows, register
from graphnn.ops.declare.axes import as_axis
from graphnn.ops.indexing.along import TAKE_ALONG
from graphnn.ops.movement.reshape import expand_dims, reshape
from graphnn.ops.movement.slicing import narrow
from graphnn.ops.movement.transpose import last_axis_order, transpose
from graphnn.source import Body
from graphnn.spec import DimLike, TensorSpec, format_shape

__all__ = ["argmax", "argmin", "argsort", "sort", "topk"]

ORDER = "#fde68a"
LONGEST = 2**31  # elements of a row: two places of one share a word while it is sorted


def _argsort_spec(x: TensorSpec, *, descending: int) -> TensorSpec:
    if x.ndim == 0:
        raise Mismatch("at least one axis")
    if isinstance(x.shape[-1], int) and x.shape[-1] >= LONGEST:
        raise Mismatch(f"rows of less than {LONGEST} elements")
    return x.with_dtype("int64")


def _later(a: Any, b: Any) -> Any:
    return a > b or (a != a and b == b)


def _argsort_rows(start, stop, x, out, *, descending):  # type: ignore[no-untyped-def]
    # Merge sort, from runs of one element on. The order before a round stands in one half of the
    # words of `out`, the order after it in the other: no memory is needed besides.
    count, mask = x.shape[1], 0xFFFFFFFF
    for i in range(start, stop):
        for j in range(count):
            out[i, j] = j
        width, old = 1, 0
        while width < count:
            new = 32 - old
            for begin in range(0, count, 2 * width):
                left, middle = begin, min(begin + width, count)
                right, end = middle, min(begin + 2 * width, count)
                for place in range(begin, end):
                    chosen = 0
                    if left < middle and right < end:
                        a, b = (out[i, left] >> old) & mask, (out[i, right] >> old) & mask
                        late = _later(x[i, b], x[i, a]) if descending else _later(x[i, a], x[i, b])
                        chosen = b if late else a
                        right += 1 if late else 0
                        left += 0 if late else 1
                    elif left < middle:
                        chosen = (out[i, left] >> old) & mask
                        left += 1
                    else:
                        chosen = (out[i, right] >> old) & mask
                        right += 1
                    kept = (out[i, place] >> old) & mask
                    out[i, place] = (kept << old) | (chosen << new)
            width, old = 2 * width, new
        for j in range(count):
            out[i, j] = (out[i, j] >> old) & mask


def _argsort_reference(x: NDArray[Any], *, descending: int) -> NDArray[Any]:
    if not descending:
        return np.argsort(x, -1, kind="stable")
    backwards = np.argsort(x[..., ::-1], -1, kind="stable")[..., ::-1]
    return np.asarray(x.shape[-1] - 1 - backwards)


def _comparisons(_out: TensorSpec, x: TensorSpec, **_attrs: Any) -> DimLike:
    rounds = max(1, (x.shape[-1] - 1).bit_length()) if isinstance(x.shape[-1], int) else 10
    return x.size * rounds


ARGSORT = register(
    Op(
        name="argsort",
        spec=_argsort_spec,
        kernel=Rows(Body(_argsort_rows), ("rows", "rows")),
        reference=_argsort_reference,
        flops=_comparisons,
        examples=(
            Example((Draw((3, 7)),), {"descending": 0}),
            Example((Draw((2, 3, 16)),), {"descending": 1}),
            Example((Draw((4, 40), 0, 5, "int64"),), {"descending": 1}),
            Example((Draw((300,)),), {"descending": 0}),
        ),
        formula="the places in order of x",
        color=ORDER,
    )
)


def _place_spec(x: TensorSpec) -> TensorSpec:
    if x.ndim == 0 or x.shape[-1] == 0:
        raise Mismatch("at least one element to choose from")
    return TensorSpec(x.shape[:-1], "int64")


def _argmax_rows(start, stop, x, out):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        best = 0
        for j in range(1, x.shape[1]):
            if x[i, j] > x[i, best] or (x[i, j] != x[i, j] and x[i, best] == x[i, best]):
                best = j
        out[i] = best


def _argmin_rows(start, stop, x, out):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        best = 0
        for j in range(1, x.shape[1]):
            if x[i, j] < x[i, best] or (x[i, j] != x[i, j] and x[i, best] == x[i, best]):
                best = j
        out[i] = best


def _place_op(name: str, body: Body, reference: Callable[..., Any], formula: str) -> Op:
    return register(
        Op(
            name=name,
            spec=_place_spec,
            kernel=Rows(body, ("rows", "each")),
            reference=lambda x: np.asarray(reference(x, -1)),
            flops=lambda _out, x: x.size,
            fits=lambda x: [x.shape[-1] - 1],
            examples=(
                Example((Draw((3, 7)),)),
                Example((Draw((2, 3, 1)),)),
                Example((Draw((4, 50), 0, 9, "int64"),)),
            ),
            formula=formula,
            color=ORDER,
        )
    )


ARGMAX = _place_op("argmax", Body(_argmax_rows), np.argmax, "the place of max x")
ARGMIN = _place_op("argmin", Body(_argmin_rows), np.argmin, "the place of min x")


def _place(op: Op, x: NodeLike, axis: int | None, keepdims: bool) -> Node:
    node = as_node(x)
    if axis is None:
        found = apply(op, [reshape(node, (node.spec.size,))])
        return reshape(found, (1,) * node.ndim) if keepdims else found
    place = as_axis(node, axis, op.name)
    order, _ = last_axis_order(node.ndim, place)
    found = apply(op, [transpose(node, order)])
    return expand_dims(found, place) if keepdims else found


@teaches
def argmax(x: NodeLike, axis: int | None = None, keepdims: bool = False) -> Node:
    """The place of the largest element along ``axis``, of all elements without one.

    Of equal elements the first; the first nan, if there is one.

    Raises
    ------
    ShapeError
        If there is nothing to choose from.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.argmax(gn.Constant([1.0, 5.0, 5.0])))()
    array(1)
    """
    return _place(ARGMAX, x, axis, keepdims)


@teaches
def argmin(x: NodeLike, axis: int | None = None, keepdims: bool = False) -> Node:
    """The place of the smallest element; otherwise as :func:`argmax`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.argmin(gn.Constant([[2.0, 1.0], [0.0, 5.0]]), axis=1))()
    array([1, 0])
    """
    return _place(ARGMIN, x, axis, keepdims)


@teaches
def argsort(x: NodeLike, axis: int = -1, descending: bool = False) -> Node:
    """The places of the elements in ascending order, int64; stable, nan last.

    ``descending`` reverses the order of unequal elements, nan first.

    Raises
    ------
    ShapeError
        If there is no such axis.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.argsort(gn.Constant([3.0, 1.0, 2.0])))()
    array([1, 2, 0])
    """
    node = as_node(x)
    order, back = last_axis_order(node.ndim, as_axis(node, axis, "argsort"))
    return transpose(_ordered(transpose(node, order), descending), back)


def _ordered(rows: Node, descending: bool) -> Node:
    return apply(ARGSORT, [rows], {"descending": int(descending)})


@teaches
def sort(x: NodeLike, axis: int = -1, descending: bool = False) -> Node:
    """The elements in ascending order along ``axis``; stable, nan last.

    The gradient goes back to where each element came from.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.sort(gn.Constant([3.0, 1.0, 2.0])))()
    array([1., 2., 3.], dtype=float32)
    """
    node = as_node(x)
    order, back = last_axis_order(node.ndim, as_axis(node, axis, "sort"))
    rows = transpose(node, order)
    return transpose(apply(TAKE_ALONG, [rows, _ordered(rows, descending)]), back)


@teaches
def topk(
    x: NodeLike, k: int, axis: int = -1, largest: bool = True, sorted: bool = True
) -> tuple[Node, Node]:
    """The ``k`` largest elements along ``axis``, and their places, as torch has it.

    Parameters
    ----------
    x
        Any shape.
    k
        How many.
    axis
        Along which they are chosen.
    largest
        False: the smallest. nan counts as larger than every number.
    sorted
        They are always in order, which ``False`` allows.

    Returns
    -------
    values, indices
        Both with ``k`` elements along ``axis``; indices are int64.

    Raises
    ------
    ShapeError
        If the axis has less than ``k`` elements.

    Examples
    --------
    >>> import graphnn as gn
    >>> values, places = gn.topk(gn.Constant([3.0, 1.0, 2.0]), 2)
    >>> gn.function([], [values, places])()
    [array([3., 2.], dtype=float32), array([0, 2])]
    """
    node = as_node(x)
    place = as_axis(node, axis, "topk")
    total = node.spec.shape[place]
    if k < 0 or (isinstance(total, int) and k > total):
        raise ShapeError(
            f"topk: k={k} of {total} elements along axis {axis} of "
            f"{format_shape(node.spec.shape)}. Declared at {declared_at()}."
        )
    order, back = last_axis_order(node.ndim, place)
    rows = transpose(node, order)
    chosen = narrow(_ordered(rows, largest), -1, 0, k)
    return transpose(apply(TAKE_ALONG, [rows, chosen]), back), transpose(chosen, back)
