"""Softmax and log-softmax over the last axis, computed after subtracting the row's maximum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.hints import teaches
from graphnn.node import Node, NodeLike, apply, as_node
from graphnn.op import Draw, Example, Jvp, Mismatch, Op, Rows, Vjp, register
from graphnn.ops.declare.axes import as_axis
from graphnn.ops.elementwise.arithmetic import exp
from graphnn.ops.movement.transpose import transpose
from graphnn.ops.reduction.reduce import sum
from graphnn.source import Body
from graphnn.spec import FLOATS, DimLike, TensorSpec

__all__ = ["log_softmax", "softmax"]

PROBABILITY = "#fef9c3"


def row_spec(x: TensorSpec) -> TensorSpec:
    """Shape rule of an op on rows of floats: the output is like the input."""
    if x.ndim == 0:
        raise Mismatch("at least one axis")
    if x.dtype not in FLOATS:
        raise Mismatch("float32 or float64", "Cast it: gn.cast(x, 'float32').", dtype=True)
    return x


def _softmax_rows(start, stop, x, out):  # type: ignore[no-untyped-def]
    columns = x.shape[1]
    for i in range(start, stop if columns else start):
        top = x[i, 0]
        for j in range(1, columns):
            top = max(top, x[i, j])
        for j in range(columns):
            out[i, j] = math.exp(x[i, j] - top)
        total = out[i, 0]
        for j in range(1, columns):
            total += out[i, j]
        for j in range(columns):
            out[i, j] /= total


def _log_softmax_rows(start, stop, x, out):  # type: ignore[no-untyped-def]
    columns = x.shape[1]
    for i in range(start, stop if columns else start):
        top = x[i, 0]
        for j in range(1, columns):
            top = max(top, x[i, j])
        for j in range(columns):  # apart from the sum, whose order would keep it from vectors
            out[i, j] = math.exp(x[i, j] - top)
        total = out[i, 0]
        for j in range(1, columns):
            total += out[i, j]
        shift = top + math.log(total)
        for j in range(columns):
            out[i, j] = x[i, j] - shift


def _softmax_reference(x: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(x - x.max(axis=-1, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _log_softmax_reference(x: NDArray[Any]) -> NDArray[Any]:
    shifted = x - x.max(axis=-1, keepdims=True, initial=-np.inf)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _softmax_vjp(node: Node, dy: Node) -> list[Node | None]:
    # dx = y (dy - Σ dy y): the Jacobian diag(y) - y yᵀ, applied to dy.
    return [node * (dy - sum(dy * node, -1, keepdims=True))]


def _log_softmax_vjp(node: Node, dy: Node) -> list[Node | None]:
    return [dy - exp(node) * sum(dy, -1, keepdims=True)]


def _softmax_jvp(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    (dx,) = tangents
    return None if dx is None else _softmax_vjp(node, dx)[0]  # the Jacobian is symmetric


def _log_softmax_jvp(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    (dx,) = tangents
    return None if dx is None else dx - sum(exp(node) * dx, -1, keepdims=True)


def _flops(out: TensorSpec, *_inputs: TensorSpec) -> DimLike:
    return 5 * out.size


def _row_op(name: str, body: Body, reference: Any, vjp: Vjp, jvp: Jvp, formula: str) -> Op:
    return register(
        Op(
            name=name,
            spec=row_spec,
            kernel=Rows(body, ("rows", "rows")),
            reference=reference,
            vjp=vjp,
            jvp=jvp,
            flops=_flops,
            examples=(
                Example((Draw((3, 5), -5, 5),)),
                Example((Draw((7,), -30, 30),)),
                Example((Draw((2, 3, 4)),)),
                Example((Draw((33, 1)),)),
            ),
            formula=formula,
            color=PROBABILITY,
        )
    )


SOFTMAX = _row_op(
    "softmax", Body(_softmax_rows), _softmax_reference, _softmax_vjp, _softmax_jvp, "eˣⁱ / Σⱼ eˣʲ"
)
LOG_SOFTMAX = _row_op(
    "log_softmax",
    Body(_log_softmax_rows),
    _log_softmax_reference,
    _log_softmax_vjp,
    _log_softmax_jvp,
    "xᵢ - ln Σⱼ eˣʲ",
)


def _along(op: Op, x: NodeLike, axis: int, name: str | None) -> Node:
    node = as_node(x)
    place = as_axis(node, axis, op.name) if node.ndim else 0
    if place == node.ndim - 1 or node.ndim == 0:
        return apply(op, [node], name=name)
    order = [i for i in range(node.ndim) if i != place] + [place]
    back = [order.index(i) for i in range(node.ndim)]
    return transpose(apply(op, [transpose(node, order)], name=name), back)


@teaches
def softmax(x: NodeLike, axis: int = -1, name: str | None = None) -> Node:
    """Probabilities: exp(x) divided by its sum along ``axis``; it does not overflow.

    Bridle, *Probabilistic interpretation of feedforward classification network outputs* (1990).

    Parameters
    ----------
    x
        Any shape with that axis, float32 or float64.
    axis
        Along which the probabilities add up to 1.
    name
        Of the node.

    Raises
    ------
    ShapeError, DTypeError
        If there is no such axis, or ``x`` is no float.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.softmax(gn.Constant([1000.0, 1000.0])))()
    array([0.5, 0.5], dtype=float32)
    """
    return _along(SOFTMAX, x, axis, name)


@teaches
def log_softmax(x: NodeLike, axis: int = -1, name: str | None = None) -> Node:
    """Logarithm of :func:`softmax`, without its overflow and underflow.

    Arguments and errors as there.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.log_softmax(gn.Constant([0.0, -1000.0])))()
    array([    0., -1000.], dtype=float32)
    """
    return _along(LOG_SOFTMAX, x, axis, name)
