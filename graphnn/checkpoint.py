"""Recompute instead of store: a part of the graph whose values the reverse pass computes again.

Chen, Xu, Zhang, Guestrin, *Training deep nets with sublinear memory cost* (2016).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphnn.autodiff import pull_back
from graphnn.calls import no_node
from graphnn.context import declared_at, role
from graphnn.errors import GraphError
from graphnn.graph import needed
from graphnn.node import Constant, Node, NodeLike, apply, as_node
from graphnn.op import Alias, Leaf, Op
from graphnn.spec import FLOATS


def checkpoint(function: Callable[..., Any], *inputs: NodeLike) -> Any:
    """What ``function(*inputs)`` declares, recomputed in the reverse pass instead of stored.

    The numbers are the same; the values between ``inputs`` and the result need memory only while
    they are computed, first in the forward pass and again when their gradients are due. The price
    is one more forward pass through this part.

    Parameters
    ----------
    function
        Declares nodes: a module, or a plain function. It may use parameters and nodes from outside.
    *inputs
        What it is called with.

    Returns
    -------
    Node or tuple of Node
        Its result. Of several results, each recomputes what it needs on its own.

    Raises
    ------
    GraphError
        If the function returns anything but nodes.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> x = gn.Input((None, 8), name="x")
    >>> block = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 8), nn.Tanh())
    >>> gn.checkpoint(block, x).shape
    (None, 8)
    """
    _check_called(function, inputs)
    given = [as_node(value) for value in inputs]
    born = Constant(0).serial
    result = function(*given)
    if isinstance(result, Node):
        return _held(result, born)
    if isinstance(result, tuple | list) and all(isinstance(node, Node) for node in result):
        return tuple(_held(node, born) for node in result)
    raise no_node("a checkpointed function returns nodes", result)


def _check_called(function: Callable[..., Any], inputs: Sequence[NodeLike]) -> None:
    """Without inputs it is jax's form, which wraps a function, or one that needs none."""
    try:
        inspect.signature(getattr(function, "forward", function)).bind(*inputs)
    except (TypeError, ValueError):
        if inputs:
            return  # Python says what is wrong
        name = getattr(function, "__name__", type(function).__name__)
        raise GraphError(
            f"gn.checkpoint takes a function and what it is called with; got {name} alone at "
            f"{declared_at()}. Write gn.checkpoint(block, x), not gn.checkpoint(block)(x)."
        ) from None


def _held(output: Node, born: int) -> Node:
    """``output``, with what its part of the graph is computed from behind it."""
    inside = {n for n in needed([output]) if n.serial > born and not isinstance(n.op.kernel, Leaf)}
    outside = dict.fromkeys(
        value for node in needed([output]) if node in inside for value in node.inputs
    )
    return apply(CHECKPOINT, [output, *(value for value in outside if value not in inside)])


def _vjp(node: Node, dy: Node) -> list[Node | None]:
    output, *outside = node.inputs
    # To compute again only when the cotangent is there, and never to be taken for the first time.
    later = {value: apply(AFTER, [value, dy]) for value in outside}
    wanted = [later[value] for value in outside if value.dtype in FLOATS]
    found = pull_back({_again(output, later): dy}, wanted, no_further=wanted)
    # A cotangent goes on when nothing is left to do here, so that what was recomputed can go.
    ends = [value for value in outside if isinstance(value.op.kernel, Leaf)]
    done = [found[later[value]] for value in ends if later[value] in found]
    result: list[Node | None] = [None]
    for value in outside:
        part = found.get(later[value])
        if part is not None and done and value not in ends:
            part = apply(AFTER, [part, *done])
        result.append(part)
    return result


def _again(output: Node, given: Mapping[Node, Node]) -> Node:
    """The graph up to ``output`` once more, from ``given``, as a part of the reverse pass."""
    new = dict(given)
    for node in needed([output], given):
        if isinstance(node.op.kernel, Leaf):  # a slot of a loop around it
            new[node] = node
            continue
        inputs = [new[value] for value in node.inputs]
        with role("backward", forward_of=node):
            name = node.label or node.op.name
            new[node] = Node(node.op, inputs, node.attrs, spec=node.spec, name=name)
    return new[output]


def _first_tangent(_node: Node, tangents: Sequence[Node | None]) -> Node | None:
    return tangents[0]


# Not in the registry: these say when something is computed, not what.
CHECKPOINT = Op(
    name="checkpoint",
    spec=lambda x, *_outside: x,
    kernel=Alias(),
    reference=lambda x, *_outside: x,
    vjp=_vjp,
    jvp=_first_tangent,
    inference=lambda _node, inputs: inputs[0],
    formula="x, computed again in the reverse pass",
)
AFTER = Op(
    name="after",
    spec=lambda x, *_others: x,
    kernel=Alias(),
    reference=lambda x, *_others: x,
    vjp=lambda node, dy: [dy, *[None] * (len(node.inputs) - 1)],
    jvp=_first_tangent,
    waits=True,
    vanishes=(0,),
    formula="x, when the others are there",
)
