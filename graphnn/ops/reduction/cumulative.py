"""Running sums and products along an axis, by one recurrence: y[j] = b[j] + a[j] y[j - 1].

The gradient of a linear recurrence is one in the other direction (Martin, Cundy, *Parallelizing
linear recurrent neural nets over sequence length*, 2018, §2), so that products with factors of 0
need no care.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.hints import teaches
from graphnn.node import Constant, Node, NodeLike, apply, as_node
from graphnn.op import Draw, Example, Mismatch, Op, Rows, register
from graphnn.ops.declare.axes import as_axis
from graphnn.ops.declare.tangents import added, linear
from graphnn.ops.movement.broadcast import broadcast_to
from graphnn.ops.movement.slicing import narrow, padded
from graphnn.ops.movement.transpose import last_axis_order, transpose
from graphnn.source import Body
from graphnn.spec import TensorSpec

__all__ = ["cumprod", "cumsum"]

SCAN = "#fbcfe8"


def _numbers(x: TensorSpec) -> None:
    if x.ndim == 0:
        raise Mismatch("at least one axis")
    if x.dtype in ("bool", "uint8"):
        raise Mismatch("numbers", "Cast it: gn.cast(x, 'int64').", dtype=True)


def _cumsum_spec(x: TensorSpec, *, reverse: int) -> TensorSpec:
    _numbers(x)
    return x


def _cumsum_rows(start, stop, x, out, *, reverse):  # type: ignore[no-untyped-def]
    # What each addition rounds off is added up apart (Knuth, *The Art of Computer Programming* 2,
    # §4.2.2, theorem B): a million float32 are as exact as ten. Where inf comes in, it is nan.
    count = x.shape[1]
    for i in range(start, stop if count else start):
        place, step = (count - 1, -1) if reverse else (0, 1)
        total = x[i, place]
        lost = 0.0
        out[i, place] = total
        for _ in range(1, count):
            place += step
            term = x[i, place]
            new = total + term
            kept = new - total
            error = (total - (new - kept)) + (term - kept)
            lost += error if error == error else 0.0
            total = new
            out[i, place] = total + lost


def _cumsum_reference(x: NDArray[Any], *, reverse: int) -> NDArray[Any]:
    total = np.float64 if x.dtype == np.float32 else x.dtype
    if reverse:
        return np.cumsum(x[..., ::-1], -1, total)[..., ::-1].astype(x.dtype)
    return np.cumsum(x, -1, total).astype(x.dtype)


def _cumsum_vjp(node: Node, dy: Node) -> list[Node | None]:
    return [apply(CUMSUM, [dy], {"reverse": 1 - node.attrs["reverse"]})]


CUMSUM = register(
    Op(
        name="cumsum",
        spec=_cumsum_spec,
        kernel=Rows(Body(_cumsum_rows), ("rows", "rows")),
        reference=_cumsum_reference,
        vjp=_cumsum_vjp,
        jvp=linear,
        flops=lambda out, *_rest, **_attrs: out.size,
        examples=(
            Example((Draw((3, 7)),), {"reverse": 0}),
            Example((Draw((2, 3, 5)),), {"reverse": 1}),
            Example((Draw((4, 1)),), {"reverse": 0}),
            Example((Draw((3, 6), 0, 9, "int64"),), {"reverse": 0}),
        ),
        formula="x₀ + ... + xⱼ",
        color=SCAN,
    )
)


def _recurrence_spec(a: TensorSpec, b: TensorSpec, *, reverse: int) -> TensorSpec:
    _numbers(a)
    if a.dtype != b.dtype:
        raise Mismatch("one dtype", "Cast one of them: gn.cast(x, 'float32').", dtype=True)
    if a.shape != b.shape:
        raise Mismatch("a.shape == b.shape")
    return b


def _recurrence_rows(start, stop, a, b, out, *, reverse):  # type: ignore[no-untyped-def]
    count = b.shape[1]
    for i in range(start, stop if count else start):
        place, step = (count - 1, -1) if reverse else (0, 1)
        total = b[i, place]
        out[i, place] = total
        for _ in range(1, count):
            place += step
            total = b[i, place] + a[i, place] * total
            out[i, place] = total


def _recurrence_reference(a: NDArray[Any], b: NDArray[Any], *, reverse: int) -> NDArray[Any]:
    out = b.copy()
    places = range(b.shape[-1])
    order = places[::-1] if reverse else places
    for before, j in itertools.pairwise(order):
        out[..., j] += a[..., j] * out[..., before]
    return out


def _recurrence_vjp(node: Node, dy: Node) -> list[Node | None]:
    # With y[j] = b[j] + a[j] y[j - 1]: db[j] = dy[j] + a[j + 1] db[j + 1], da[j] = db[j] y[j - 1].
    a, _ = node.inputs
    reverse = node.attrs["reverse"]
    after = _shifted(a, 1 if reverse else -1)
    db = apply(RECURRENCE, [after, dy], {"reverse": 1 - reverse})
    return [db * _before(node), db]


def _recurrence_jvp(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    a, _ = node.inputs
    da, db = tangents
    parts = [] if da is None else [da * _before(node)]
    parts += [] if db is None else [db]
    change = added(parts)
    return None if change is None else apply(RECURRENCE, [a, change], node.attrs)


def _before(node: Node) -> Node:
    """What each element of a recurrence was computed from: its neighbour, 0 for the first."""
    return _shifted(node, -1 if node.attrs["reverse"] else 1)


def _shifted(x: Node, by: int) -> Node:
    """Each element ``by`` places further along the last axis, 0 where nothing comes from."""
    none = (0,) * (x.ndim - 1)
    return padded(x, (*none, by), (*none, -by))


RECURRENCE = register(
    Op(
        name="recurrence",
        spec=_recurrence_spec,
        kernel=Rows(Body(_recurrence_rows), ("rows", "rows", "rows")),
        reference=_recurrence_reference,
        vjp=_recurrence_vjp,
        jvp=_recurrence_jvp,
        flops=lambda out, *_rest, **_attrs: 2 * out.size,
        examples=(
            Example((Draw((3, 7)), Draw((3, 7))), {"reverse": 0}),
            Example((Draw((2, 3, 5)), Draw((2, 3, 5))), {"reverse": 1}),
            Example((Draw((4, 1)), Draw((4, 1))), {"reverse": 0}),
        ),
        slack=10.0,
        formula="y[j] = b[j] + a[j] y[j - 1]",
        color=SCAN,
    )
)


def running_product(x: Node) -> Node:
    """The product of all elements up to each one, along the last axis: not one of known size 0."""
    total = x.spec.shape[-1]
    none = (0,) * (x.ndim - 1)
    if not isinstance(total, int):  # may be 0: begin with a 1, and take it off again
        one = broadcast_to(Constant(1, dtype=x.dtype), (*x.spec.shape[:-1], 1))
        terms = [padded(x, (*none, 1), (*none, 0)), padded(one, (*none, 0), (*none, total))]
        return narrow(apply(RECURRENCE, terms, {"reverse": 0}), -1, 1, total)
    alone = padded(narrow(x, -1, 0, 1), (*none, 0), (*none, total - 1))
    return apply(RECURRENCE, [x, alone], {"reverse": 0})


def product_of_others(x: Node) -> Node:
    """For each element the product of all others along the last axis, which is not empty."""
    one = broadcast_to(Constant(1, dtype=x.dtype), (*x.spec.shape[:-1], 1))
    none = (0,) * (x.ndim - 1)
    rest = (*none, x.spec.shape[-1] - 1)
    before = [_shifted(x, 1), padded(one, (*none, 0), rest)]
    after = [_shifted(x, -1), padded(one, rest, (*none, 0))]
    return apply(RECURRENCE, before, {"reverse": 0}) * apply(RECURRENCE, after, {"reverse": 1})


@teaches
def cumsum(x: NodeLike, axis: int = -1, name: str | None = None) -> Node:
    """The sum of all elements up to each one, along ``axis``.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.cumsum(gn.Constant([1.0, 2.0, 3.0])))()
    array([1., 3., 6.], dtype=float32)
    """
    node = as_node(x)
    order, back = last_axis_order(node.ndim, as_axis(node, axis, "cumsum"))
    return transpose(apply(CUMSUM, [transpose(node, order)], {"reverse": 0}, name=name), back)


@teaches
def cumprod(x: NodeLike, axis: int = -1) -> Node:
    """The product of all elements up to each one, along ``axis``; its gradient knows factors of 0.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.cumprod(gn.Constant([1.0, 2.0, 3.0])))()
    array([1., 2., 6.], dtype=float32)
    """
    node = as_node(x)
    place = as_axis(node, axis, "cumprod")
    if node.spec.shape[place] == 0:
        return node
    order, back = last_axis_order(node.ndim, place)
    return transpose(running_product(transpose(node, order)), back)
