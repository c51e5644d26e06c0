"""Values as they are: copied, or shut off from derivatives."""

from __future__ import annotations

from graphnn.node import Node, NodeLike, apply, as_node
from graphnn.op import Alias, Draw, Example, Op, Rows, register
from graphnn.ops.declare.tangents import linear, no_flow, no_gradient
from graphnn.ops.movement.reshape import MOVEMENT
from graphnn.source import Body

__all__ = ["stop_gradient"]

# More than any index. A negative index counts from the end; where LLVM sees that none can be
# negative (it was bounded from below, and cannot overflow), loops become vectors.
FAR = 1 << 48


def _copy_flat(start, stop, x, out):  # type: ignore[no-untyped-def]
    first = min(max(start, 0), FAR)
    for k in range(stop - first):
        out[first + k] = x[first + k]


def _copy_vjp(_node: Node, dy: Node) -> list[Node | None]:
    return [dy]


COPY = register(
    Op(
        name="copy",
        spec=lambda x: x,
        kernel=Rows(Body(_copy_flat), ("flat", "flat")),
        reference=lambda x: x.copy(),
        vjp=_copy_vjp,
        jvp=linear,
        examples=(Example((Draw((3, 4)),)), Example((Draw(()),))),
        formula="x",
        color=MOVEMENT,
    )
)


STOP = register(
    Op(
        name="stop_gradient",
        spec=lambda x: x,
        kernel=Alias(),
        reference=lambda x: x,
        vjp=no_gradient,
        jvp=no_flow,
        examples=(Example((Draw((3, 4)),)),),
        formula="x, with ∂ = 0",
        color=MOVEMENT,
    )
)


def stop_gradient(x: NodeLike, name: str | None = None) -> Node:
    """``x`` itself, through which no derivative flows, neither forward nor in reverse.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Input((), name="x")
    >>> f = gn.function(x, gn.grad(x * gn.stop_gradient(x), x))
    >>> float(f(3.0))  # not 6: the second factor counts as a constant
    3.0
    """
    return apply(STOP, [as_node(x)], name=name)
