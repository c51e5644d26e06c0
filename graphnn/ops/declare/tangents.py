"""Rules of differentiation that many ops share."""

from __future__ import annotations

from collections.abc import Sequence

from graphnn.node import Constant, Node, apply, call
from graphnn.spec import TensorSpec


def added(parts: Sequence[Node]) -> Node | None:
    """The sum of tangents; None if there is none."""
    if not parts:
        return None
    total, *rest = parts
    for part in rest:
        total = call("add", total, part)
    return total


def linear(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    """An op that is linear in its first input, the others being fixed: itself, of the tangent."""
    first, *_ = tangents
    return None if first is None else apply(node.op, [first, *node.inputs[1:]], node.attrs)


def additive(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    """An op that is linear in all of its inputs at once, such as a sum or a concatenation."""
    if all(tangent is None for tangent in tangents):
        return None
    moved = [
        zeros(value.spec) if tangent is None else tangent
        for tangent, value in zip(tangents, node.inputs, strict=True)
    ]
    return apply(node.op, moved, node.attrs)


def zeros(spec: TensorSpec) -> Node:
    """0 everywhere, also where the value itself is infinite or nan."""
    return call("broadcast_to", Constant(0, dtype=spec.dtype), shape=spec.shape)


def bilinear(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    """An op that is linear in each of its two inputs: the product rule."""
    a, b = node.inputs
    da, db = tangents
    parts = [] if da is None else [apply(node.op, [da, b], node.attrs)]
    parts += [] if db is None else [apply(node.op, [a, db], node.attrs)]
    return added(parts)


def no_flow(_node: Node, _tangents: Sequence[Node | None]) -> None:
    """An op through which no derivative flows."""
    return


def no_gradient(node: Node, _dy: Node) -> list[Node | None]:
    """The reverse of an op through which no derivative flows."""
    return [None] * len(node.inputs)
