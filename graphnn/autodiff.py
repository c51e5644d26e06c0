"""Reverse mode: the reverse pass becomes nodes of the same graph.

The algorithm is the lecture's: walk the nodes backwards, hand each one the sum of the cotangents
that arrived, let it say what its inputs get.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from graphnn.context import role
from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.graph import needed
from graphnn.node import Constant, Node
from graphnn.ops.arithmetic import accumulate
from graphnn.ops.movement import broadcast_to
from graphnn.ops.reduce import sum_to
from graphnn.spec import FLOATS


@overload
def grad(loss: Node, wrt: Node) -> Node: ...


@overload
def grad(loss: Node, wrt: Sequence[Node]) -> list[Node]: ...


def grad(loss: Node, wrt: Node | Sequence[Node]) -> Node | list[Node]:
    """Nodes that hold the gradient of ``loss`` with respect to ``wrt``.

    Parameters
    ----------
    loss
        A scalar, float.
    wrt
        A node, or several: parameters, inputs, or anything between them and the loss.

    Returns
    -------
    Node or list of Node
        d loss / d wrt, of the shape and dtype of ``wrt``: ordinary nodes, that can be printed,
        drawn, scheduled and differentiated again.

    Raises
    ------
    ShapeError, DTypeError
        If the loss is no float scalar, or ``wrt`` is no float.
    GraphError
        If the loss does not depend on ``wrt``, or an op between them has no gradient.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Input((3,), name="x")
    >>> gn.grad(gn.sum(x * x), x).shape
    (3,)
    """
    several = [wrt] if isinstance(wrt, Node) else list(wrt)
    if loss.spec.shape != ():
        raise ShapeError(
            f"grad needs a scalar loss; {loss.name} has shape {loss.shape}. "
            f"Declared at {loss.origin}. Take gn.mean or gn.sum of it, or use gn.vjp."
        )
    with role("backward", forward_of=loss):
        one = Constant(1, dtype=loss.dtype)
    found = vjp(loss, several, one)
    for node, cotangent in zip(several, found, strict=True):
        if cotangent is None:
            raise GraphError(
                f"{loss.name} does not depend on {node.name} (declared at {node.origin}), or only "
                "through ops without a gradient. Leave it out of wrt."
            )
    result = [node for node in found if node is not None]
    return result[0] if isinstance(wrt, Node) else result


def vjp(output: Node, wrt: Sequence[Node], cotangent: Node) -> list[Node | None]:
    """Pull ``cotangent`` back from ``output`` to ``wrt``: the vector-Jacobian product.

    Parameters
    ----------
    output
        Any float node.
    wrt
        Nodes that it depends on.
    cotangent
        Shape and dtype of ``output``.

    Returns
    -------
    list
        For each of ``wrt`` a node of its shape, or None where nothing flows.
    """
    for node in (output, *wrt):
        if not isinstance(node, Node):
            raise GraphError(f"grad takes nodes; got {type(node).__name__}")
        if node.dtype not in FLOATS:
            raise DTypeError(
                f"only floats have gradients; {node.name} is {node.dtype}. "
                f"Declared at {node.origin}."
            )
    arrived = pull_back(output, wrt, cotangent)
    return [_finished(node, arrived.get(node)) for node in wrt]


def pull_back(
    output: Node, wrt: Sequence[Node], cotangent: Node, *, no_further: Sequence[Node] = ()
) -> dict[Node, Node]:
    """Every cotangent on the way from ``output`` to ``wrt``; none behind ``no_further``."""
    order = needed([output])
    reached = _reached_from(wrt, order)
    ends = set(no_further)
    arrived: dict[Node, Node] = {output: cotangent} if output in reached else {}
    for node in reversed(order):
        if node not in arrived or node not in reached or node in ends or not node.inputs:
            continue
        for value, part in zip(node.inputs, _input_cotangents(node, arrived[node]), strict=True):
            if part is None or value not in reached:
                continue
            with role("backward", forward_of=node):
                part = sum_to(part, value.spec)
            arrived[value] = _summed(value, arrived.get(value), part)
    return arrived


def _input_cotangents(node: Node, dy: Node) -> Sequence[Node | None]:
    with role("backward", forward_of=node):
        if node.op.vjp is not None:
            return node.op.vjp(node, dy)
        if node.op.expand is not None:
            expanded = node.op.expand(*node.inputs)
            wanted = [value for value in node.inputs if value.dtype in FLOATS]
            # The inputs' own inputs are the caller's: one input may be computed from another.
            found = pull_back(expanded, wanted, dy, no_further=wanted)
            # An input that stands in several places gets its whole cotangent at the first.
            return [found.pop(value, None) for value in node.inputs]
    return [None] * len(node.inputs)


def _summed(value: Node, before: Node | None, part: Node) -> Node:
    if before is None:
        return part
    with role("backward", forward_of=value):
        return accumulate(before, part)


def _reached_from(sources: Sequence[Node], order: Sequence[Node]) -> set[Node]:
    """The nodes of ``order`` through which a change of ``sources`` flows."""
    reached = set(sources)
    for node in order:
        if any(value in reached for value in node.inputs) and node.dtype in FLOATS:
            reached.add(node)
    return reached


def _finished(node: Node, cotangent: Node | None) -> Node | None:
    if cotangent is None or cotangent.spec.shape == node.spec.shape:
        return cotangent
    with role("backward", forward_of=node):
        return broadcast_to(cotangent, node.spec.shape)
