"""Ops applied to nodes: values become nodes, and shapes and dtypes are checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphnn.calls import no_node
from graphnn.context import Pass, context, declared_at
from graphnn.errors import DTypeError, ShapeError
from graphnn.node.leaves import Constant
from graphnn.node.node import Node, NodeLike
from graphnn.op import Attrs, Mismatch, Op, registry
from graphnn.operators import operators
from graphnn.spec import (
    Dim,
    TensorSpec,
    format_shape,
)
from graphnn.values import check_number, check_operand, check_range


def as_node(value: NodeLike, like: Node | None = None, op: str = "") -> Node:
    """``value`` as a node: nodes pass, numbers and arrays become constants.

    A Python number takes the dtype of ``like``; an array keeps its own. ``op`` is named where the
    value is neither.

    Raises
    ------
    DTypeError
        For a number that ``like``'s dtype cannot hold.
    GraphError
        For what is no node, number or array.
    """
    if isinstance(value, Node):
        return value
    if like is not None and isinstance(value, bool | int | float):
        check_number(value, like.dtype, op, like.name)
        return Constant(value, dtype=like.dtype)
    check_operand(value, op, "" if like is None else like.name)
    return Constant(value)


def as_nodes(*values: NodeLike, op: str = "") -> tuple[Node, ...]:
    """Several values as nodes; numbers take the dtype of the first node that is no condition."""
    nodes = [v for v in values if isinstance(v, Node)]
    like = next((v for v in nodes if v.dtype != "bool"), None)
    plain = [v for v in values if not isinstance(v, Node)]
    if like is None and nodes and all(isinstance(v, bool | np.bool_) for v in plain):
        like = nodes[0]
    return tuple(as_node(value, like, op) for value in values)


def call(name: str, *values: NodeLike, **attrs: Any) -> Node:
    """Apply a registered op by name."""
    return apply(registry[name], as_nodes(*values, op=name), attrs)


operators["call"] = call


def apply(
    op: Op, inputs: Sequence[Node], attrs: Attrs | None = None, *, name: str | None = None
) -> Node:
    """A node that applies ``op``; shapes and dtypes are checked here, at the user's line.

    Raises
    ------
    ShapeError, DTypeError
        With node, op, shapes, what was expected, the user's file and line, and one fix.
    """
    for value in inputs:
        if not isinstance(value, Node):
            raise no_node(f"{op.name} takes nodes", value)
    try:
        spec = op.spec(*(value.spec for value in inputs), **(attrs or {}))
    except Mismatch as mismatch:
        raise _teach(op, inputs, name, mismatch) from None
    if not all(isinstance(dim, Dim) or (isinstance(dim, int) and dim >= 0) for dim in spec.shape):
        wrong = Mismatch(f"sizes that are whole numbers >= 0; they are {spec.shape}")
        raise _teach(op, inputs, name, wrong)
    _check_known_indices(op, inputs, attrs or {})
    return Node(op, inputs, attrs, spec=spec, name=name)


def _check_known_indices(op: Op, inputs: Sequence[Node], attrs: Attrs) -> None:
    """Labels and indices that are constants are checked at the user's line."""
    if op.bounds is None or not any(isinstance(value, Constant) for value in inputs):
        return
    bounds = op.bounds(*(value.spec for value in inputs), **attrs)
    for place, (low, high) in bounds.items():
        value = inputs[place]
        if isinstance(value, Constant) and isinstance(high, int):
            who = f"{op.name} (declared at {declared_at()})"
            ignored = attrs.get("ignore_index")
            check_range(value.name, value.array, (low, high), op.name, who, ignored)


def rebuilt(
    node: Node,
    inputs: Sequence[Node],
    attrs: Attrs | None = None,
    spec: TensorSpec | None = None,
    *,
    like: Node | None = None,
    role: Pass | None = None,
) -> Node:
    """The same node on other inputs, with its name, scope, role and the user's line.

    ``like`` gives those instead, ``role`` the role; the node itself comes back if nothing changes.
    """
    if (
        like is None
        and role in (None, node.role)
        and spec is None
        and (attrs is None or attrs == node.attrs)
        and all(a is b for a, b in zip(inputs, node.inputs, strict=True))
    ):
        return node
    kept = node.attrs if attrs is None else attrs
    spec = spec or node.op.spec(*(value.spec for value in inputs), **kept)
    model = node if like is None else like
    made = Node(node.op, inputs, kept, spec=spec, name=model.label)
    for key in ("scope", "origin", "role", "forward_of", "layer"):
        object.__setattr__(made, key, getattr(model, key))
    if role is not None:
        object.__setattr__(made, "role", role)
    return made


def _teach(op: Op, inputs: Sequence[Node], name: str | None, mismatch: Mismatch) -> Exception:
    here = context.get()
    own = ".".join([*here.scope, *([name] if name else [])])
    got = [str(v.spec) if mismatch.dtype else format_shape(v.spec.shape) for v in inputs]
    joined = " @ ".join(got) if op.name == "matmul" else ", ".join(got)
    called = " and ".join(repr(v.name) for v in inputs)
    fix = f" {mismatch.fix}" if mismatch.fix else ""
    text = (
        f"{own}{': ' * bool(own)}{op.name} needs {mismatch.expected}; got {joined} for {called}. "
        f"Declared at {declared_at()}.{fix}"
    )
    return DTypeError(text) if mismatch.dtype else ShapeError(text)
