"""Differentiation: derivatives become nodes of the same graph.

Reverse mode is the lecture's algorithm: walk the nodes backwards, hand each one the sum of the
cotangents that arrived, let it say what its inputs get. Forward mode walks with the data: each node
says how it changes when its inputs change (Griewank, Walther, *Evaluating Derivatives*, ch. 3).
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any, TypeAlias, overload

from graphnn.calls import no_node
from graphnn.context import role
from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.graph import needed
from graphnn.node import Constant, Node, NodeLike, apply, as_node, rebuilt
from graphnn.op import Loop, Part
from graphnn.ops.elementwise.arithmetic import accumulate
from graphnn.ops.movement.broadcast import broadcast_to
from graphnn.ops.movement.copy import COPY
from graphnn.ops.reduction.reduce import sum_to
from graphnn.pairing import note
from graphnn.spec import FLOATS, Shape


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
    check_floats("grad", (loss, *several))
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


@overload
def vjp(output: Node, wrt: Node, cotangent: NodeLike) -> Node | None: ...


@overload
def vjp(output: Node, wrt: Sequence[Node], cotangent: NodeLike) -> list[Node | None]: ...


def vjp(
    output: Node, wrt: Node | Sequence[Node], cotangent: NodeLike
) -> Node | list[Node | None] | None:
    """Pull ``cotangent`` back from ``output`` to ``wrt``: the vector-Jacobian product.

    Parameters
    ----------
    output
        Any float node.
    wrt
        A node that it depends on, or several.
    cotangent
        A node or array of the shape and dtype of ``output``.

    Returns
    -------
    Node or list of Node
        For each of ``wrt`` a node of its shape, or None where nothing flows.

    Raises
    ------
    ShapeError, DTypeError
        If the cotangent does not fit, or a node is no float.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((3,), name="x")
    >>> pulled = gn.function(x, gn.vjp(x * x, x, np.float32([1, 0, 2])))
    >>> pulled(np.float32([1, 2, 3]))
    array([ 2.,  0., 12.], dtype=float32)
    """
    several = [wrt] if isinstance(wrt, Node) else list(wrt)
    cotangent = as_node(cotangent, output)
    check_floats("vjp", (output, *several, cotangent))
    if cotangent.spec != output.spec:
        raise ShapeError(
            f"the cotangent of {output.name} must be {output.spec}; got {cotangent.spec}. "
            f"{output.name} is declared at {output.origin}."
        )
    arrived = pull_back({output: cotangent}, several)
    found = [finished(node, arrived.get(node)) for node in several]
    for node, gradient in zip(several, found, strict=True):
        if gradient is not None:
            note(gradient, node, (output,))
    return found[0] if isinstance(wrt, Node) else found


def check_floats(what: str, nodes: Sequence[Node]) -> None:
    """Raise where something is no node, or a node is no float."""
    for node in nodes:
        if not isinstance(node, Node):
            raise no_node(f"{what} takes nodes", node)
        if node.dtype not in FLOATS:
            raise DTypeError(
                f"only floats have gradients; {node.name} is {node.dtype}. "
                f"Declared at {node.origin}."
            )


Tangents: TypeAlias = Any  # NodeLike, or a sequence of such: types cannot tell those apart


@overload
def jvp(output: Node, wrt: Node | Sequence[Node], tangents: Tangents) -> Node: ...


@overload
def jvp(output: Sequence[Node], wrt: Node | Sequence[Node], tangents: Tangents) -> list[Node]: ...


def jvp(
    output: Node | Sequence[Node], wrt: Node | Sequence[Node], tangents: Tangents
) -> Node | list[Node]:
    """Push ``tangents`` of ``wrt`` forward to ``output``: the Jacobian-vector product.

    True forward mode: one walk in the direction of the data, by the rule of each op.

    Parameters
    ----------
    output
        A float node, or several.
    wrt
        A node that is moved, or several.
    tangents
        For each of ``wrt`` the direction in which it moves, of its shape and dtype.

    Returns
    -------
    Node or list of Node
        The change of each output, of its shape; 0 where it does not depend on ``wrt``.

    Raises
    ------
    ShapeError, DTypeError
        If a tangent does not fit, or a node is no float.
    GraphError
        If an op on the way has no forward-mode rule.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((3,), name="x")
    >>> slope = gn.function(x, gn.jvp(gn.sum(x * x), [x], [np.float32([1, 0, 0])]))
    >>> float(slope(np.float32([3, 4, 5])))
    6.0
    """
    outputs = [output] if isinstance(output, Node) else list(output)
    if isinstance(wrt, Node):
        wrt, tangents = [wrt], [tangents]
    check_floats("jvp", (*outputs, *wrt))
    if len(tangents) != len(wrt):
        raise GraphError(
            f"jvp needs a tangent for each of wrt: {len(wrt)} nodes, {len(tangents)} tangents"
        )
    moved: dict[Node, Node] = {}
    for node, value in zip(wrt, tangents, strict=True):
        tangent = as_node(value, node)
        if tangent.spec != node.spec:
            raise ShapeError(
                f"the tangent of {node.name} must be {node.spec}; got {tangent.spec}. "
                f"{node.name} is declared at {node.origin}."
            )
        moved[node] = tangent
    push_forward(outputs, moved)
    result = [
        moved[node] if node in moved else zeros(node.spec.shape, node.dtype) for node in outputs
    ]
    return result[0] if isinstance(output, Node) else result


def push_forward(outputs: Sequence[Node], moved: dict[Node, Node]) -> None:
    """Add the tangent of every node between those in ``moved`` and ``outputs`` to ``moved``."""
    order = needed(outputs)
    for node in order:
        if node in moved or node.dtype not in FLOATS:
            continue
        tangents = [moved.get(value) for value in node.inputs]
        if all(tangent is None for tangent in tangents):
            continue
        if node.op.parts_jvp is not None:
            parts = [part for part in order if part.inputs == (node,) and part.dtype in FLOATS]
            with role("forward", forward_of=node):
                moved.update(node.op.parts_jvp(node, tangents, parts))
            continue
        with role("forward", forward_of=node):
            tangent = _tangent(node, tangents)
            if tangent is not None:
                fits = tangent.spec.shape == node.spec.shape
                moved[node] = tangent if fits else broadcast_to(tangent, node.spec.shape)


def _tangent(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    if node.op.jvp is not None:
        return node.op.jvp(node, tangents)
    if node.op.expand is None:
        raise GraphError(
            f"{node.op.name} has no forward-mode rule, so no jvp goes through {node.name}. "
            f"Declared at {node.origin}. Use gn.vjp or gn.grad, or give the op a jvp."
        )
    # Stand-ins for the inputs: one of them may be computed from another.
    inputs = [apply(COPY, [value]) for value in node.inputs]
    expanded = node.op.expand(*inputs, **node.attrs)
    moved = {new: t for new, t in zip(inputs, tangents, strict=True) if t is not None}
    push_forward([expanded], moved)
    found = moved.get(expanded)
    if found is None:
        return None
    given = dict(zip(inputs, node.inputs, strict=True))
    return _replaced(found, given)


def _replaced(output: Node, given: Mapping[Node, Node]) -> Node:
    """The same graph with some nodes in the place of others."""
    new = dict(given)
    for node in needed([output]):
        if node not in new:
            new[node] = rebuilt(node, [new[value] for value in node.inputs])
    return new[output]


def zeros(shape: Shape, dtype: str) -> Node:
    """Zeros of a shape: what does not change."""
    return broadcast_to(Constant(0, dtype=dtype), shape)


def pull_back(
    seeds: Mapping[Node, Node], wrt: Sequence[Node], *, no_further: Sequence[Node] = ()
) -> dict[Node, Node]:
    """Every cotangent on the way from ``seeds``, nodes and theirs, to ``wrt``.

    Nothing flows behind ``no_further``.
    """
    order = needed(seeds)
    reached = _reached_from(wrt, order)
    ends = set(no_further)
    arrived = {node: cotangent for node, cotangent in seeds.items() if node in reached}
    parts: dict[Node, dict[Node, Node]] = {}  # of each loop, those that have a cotangent
    added: dict[Node, list[Node]] = {}  # what each cotangent is the sum of
    for node in reversed(order):
        if node not in reached or node in ends or not node.inputs:
            continue
        if isinstance(node.op.kernel, Part):
            if node in arrived:
                parts.setdefault(node.inputs[0], {})[node] = arrived[node]
            continue
        if isinstance(node.op.kernel, Loop):
            found = _loop_cotangents(node, parts.get(node, {}), reached)
        elif node in arrived:
            found = _input_cotangents(node, arrived[node])
        else:
            continue
        for value, part in zip(node.inputs, found, strict=True):
            if part is None or value not in reached:
                continue
            with role("backward", forward_of=node):
                part = sum_to(part, value.spec)
            arrived[value] = _summed(value, arrived.get(value), part)
            added.setdefault(value, []).append(part)
    _note_pairs(arrived, added, tuple(seeds))
    return arrived


def _note_pairs(
    arrived: Mapping[Node, Node], added: Mapping[Node, Sequence[Node]], of: tuple[Node, ...]
) -> None:
    """Note for those who draw the graph what each cotangent is by, and what it is the sum of."""
    for value, terms in added.items():
        for term in terms if len(terms) > 1 else ():
            note(term, value, of, whole=False)
        note(arrived[value], value, of)


def _loop_cotangents(
    node: Node, parts: Mapping[Node, Node], reached: Container[Node]
) -> Sequence[Node | None]:
    if not parts or node.op.parts_vjp is None:
        return [None] * len(node.inputs)
    with role("backward", forward_of=node):
        return node.op.parts_vjp(node, parts, [value in reached for value in node.inputs])


def _input_cotangents(node: Node, dy: Node) -> Sequence[Node | None]:
    with role("backward", forward_of=node):
        if node.op.vjp is not None:
            return node.op.vjp(node, dy)
        if node.op.expand is not None:
            expanded = node.op.expand(*node.inputs, **node.attrs)
            wanted = [value for value in node.inputs if value.dtype in FLOATS]
            # The inputs' own inputs are the caller's: one input may be computed from another.
            found = pull_back({expanded: dy}, wanted, no_further=wanted)
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


def finished(node: Node, cotangent: Node | None) -> Node | None:
    """A cotangent in the shape of its node."""
    if cotangent is None or cotangent.spec.shape == node.spec.shape:
        return cotangent
    with role("backward", forward_of=node):
        return broadcast_to(cotangent, node.spec.shape)
