"""What differs between training and inference, and what training changes besides its updates.

A graph is declared once; ``gn.function(training=...)`` chooses. ``phase`` is a value that is one
thing in training and another in inference; ``updating`` carries the new values of parameters that
training moves without a gradient: running averages. :mod:`graphnn.phases` takes both out of the
graph before it is scheduled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphnn.errors import GraphError, ShapeError
from graphnn.node import Constant, Node, NodeLike, Parameter, apply, as_nodes
from graphnn.op import Alias, Draw, Example, Mismatch, Op, register
from graphnn.ops.movement.broadcast import broadcast_to
from graphnn.spec import TensorSpec

__all__ = ["phase", "updating"]

PHASE_COLOR = "#f5f3ff"


def _phase_spec(train: TensorSpec, infer: TensorSpec, **_attrs: Any) -> TensorSpec:
    if train.dtype != infer.dtype:
        raise Mismatch("one dtype in both phases", "Cast one: gn.cast(x, 'float32').", dtype=True)
    if train.shape != infer.shape:
        raise Mismatch("one shape in both phases", "Broadcast one: gn.broadcast_to(x, shape).")
    return train


def _nothing_like(node: Node) -> Node:
    return broadcast_to(Constant(0, dtype=node.dtype), node.spec.shape)


def _phase_vjp(node: Node, dy: Node) -> list[Node | None]:
    zero = _nothing_like(dy)
    return [apply(PHASE, [dy, zero], node.attrs), apply(PHASE, [zero, dy], node.attrs)]


def _phase_jvp(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    if all(tangent is None for tangent in tangents):
        return None
    # A tangent may still be smaller than its value: both sides have the shape of the node.
    moved = [
        _nothing_like(node) if t is None else broadcast_to(t, node.spec.shape) for t in tangents
    ]
    return apply(PHASE, moved, node.attrs)


PHASE = register(
    Op(
        name="phase",
        spec=_phase_spec,
        kernel=Alias(),
        reference=lambda train, _infer, **_attrs: train,
        vjp=_phase_vjp,
        jvp=_phase_jvp,
        examples=(Example((Draw((3, 4)), Draw((3, 4)))), Example((Draw(()), Draw(())))),
        inference=lambda _node, inputs: inputs[1],
        formula="training ? a : b",
        color=PHASE_COLOR,
    )
)


def phase(train: NodeLike, infer: NodeLike, name: str | None = None) -> Node:
    """A value that is one thing in training and another in inference, as is its gradient.

    ``gn.function(..., training=True)`` takes the first, ``training=False`` the second; what only
    the other one needs is not computed.

    Parameters
    ----------
    train, infer
        One shape and dtype.

    Raises
    ------
    ShapeError, DTypeError
        If the two differ in shape or dtype.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((2,), name="x")
    >>> y = gn.phase(x * 10.0, x)
    >>> gn.function(x, y, training=True)(np.float32([1, 2]))
    array([10., 20.], dtype=float32)
    >>> gn.function(x, y)(np.float32([1, 2]))
    array([1., 2.], dtype=float32)
    """
    return apply(PHASE, as_nodes(train, infer), name=name)


def unless_held(average: Parameter, train: Node, infer: Node) -> Node:
    """A value of the two phases; that of inference in both, once ``average`` is held."""
    return apply(PHASE, [train, infer], {"_average": average})


def _updating_spec(y: TensorSpec, *pairs: TensorSpec) -> TensorSpec:
    if any(old != new for old, new in zip(pairs[::2], pairs[1::2], strict=True)):
        raise Mismatch("new values of the shape and dtype of their parameters")
    return y


def _updating_vjp(node: Node, dy: Node) -> list[Node | None]:
    return [dy, *[None] * (len(node.inputs) - 1)]


def _updating_jvp(_node: Node, tangents: Sequence[Node | None]) -> Node | None:
    return tangents[0]


UPDATING = register(
    Op(
        name="updating",
        spec=_updating_spec,
        kernel=Alias(),
        reference=lambda y, *_pairs: y,
        vjp=_updating_vjp,
        jvp=_updating_jvp,
        examples=(Example((Draw((3, 4)),)), Example((Draw(()),))),
        inference=lambda _node, inputs: inputs[0],
        formula="y, and p ← new",
        color=PHASE_COLOR,
    )
)


def updating(y: Node, pairs: Sequence[tuple[Parameter, Node]]) -> Node:
    """``y`` itself; a function in training that needs it also gives parameters new values.

    All new values of one call are computed from the old ones. Where a function holds several such
    nodes for one parameter, they act in the order of their declaration: in the new values of a
    later one the parameter stands for what the earlier ones made of it. No derivative flows
    through the new values. A parameter that is held (``parameter.hold()``) gets none.

    Parameters
    ----------
    y
        Any node.
    pairs
        Pairs (parameter, its new value); the parameters are made with ``trainable=False``.

    Raises
    ------
    GraphError
        If a parameter is trainable, or stands there twice.
    ShapeError
        If a new value does not fit its parameter.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> calls = gn.Parameter(np.int64(0), name="calls", trainable=False)
    >>> x = gn.Input((2,), name="x")
    >>> f = gn.function(x, gn.updating(x * 2.0, [(calls, calls + 1)]), training=True)
    >>> _ = f(np.float32([1, 2])), f(np.float32([1, 2]))
    >>> int(calls.value)
    2
    """
    flat: list[Node] = []
    for parameter, new in pairs:
        if not isinstance(parameter, Parameter) or parameter.trainable:
            raise GraphError(
                f"updating takes parameters that no optimizer moves; got {parameter!r}. Declare "
                "it with gn.Parameter(..., trainable=False)."
            )
        if parameter in flat:
            raise GraphError(f"updating: {parameter.name} stands there twice")
        if parameter.spec != new.spec:
            raise ShapeError(
                f"the new value of {parameter.name} must be {parameter.spec}; got {new.spec} "
                f"({new.name}, declared at {new.origin})"
            )
        flat += [parameter, new]
    return apply(UPDATING, [y, *flat])
