"""Nodes written as one expression, and the reverse rule of an op as equations."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from types import FunctionType

from graphnn.autodiff import vjp
from graphnn.graph import equation
from graphnn.node import Input, Node, apply
from graphnn.op import Leaf, Loop, Op, Part, Scalar
from graphnn.spec import FLOATS

LONGEST = 120  # letters of a formula


def written(node: Node, names: Mapping[Node, str | None], depth: int = 3) -> str:
    """A node as one expression, three ops deep."""
    if node in names:
        return str(names[node])
    if isinstance(node.op.kernel, Leaf):
        return node.label or node.op.name
    if depth == 0:
        return "…"
    inside = {v: written(v, names, depth - 1) for v in node.inputs}
    if isinstance(node.op.kernel, Scalar) and "_backward" in node.op.name:
        return formula(node.op, inside, node)  # which says more than its name
    return equation(node, inside)


def formula(op: Op, inside: Mapping[Node, str], node: Node) -> str:
    """The scalar formula of an elementwise op, with what stands for its inputs."""
    assert isinstance(op.kernel, Scalar)
    body = op.kernel.body
    values: dict[str, ast.expr] = {
        p: ast.Name(inside[v]) for p, v in zip(body.params, node.inputs, strict=True)
    }
    for line in body.statements if body.is_straight_line else ():
        value = ast.parse(ast.unparse(line)).body[0].value  # type: ignore[attr-defined]
        text = ast.unparse(_Written(values).visit(value)).replace("math.", "")
        if isinstance(line, ast.Return) and len(text) <= LONGEST:
            return text
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            values[line.targets[0].id] = ast.parse(text, mode="eval").body
    return f"{op.name}({', '.join(inside[v] for v in node.inputs)})"


class _Written(ast.NodeTransformer):
    """Puts in place of names what they stand for."""

    def __init__(self, values: Mapping[str, ast.expr]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.values.get(node.id, node)


def reverse_rule(node: Node) -> tuple[str, ...]:
    """What the op of a node gives its inputs: ``∂x0 = dy * y``; nothing where nothing flows."""
    op = node.op
    derived = op.vjp is None and op.expand is None
    if node.dtype not in FLOATS or derived or isinstance(op.kernel, Leaf | Loop | Part):
        return ()
    inputs = [Input(v.spec.shape, v.dtype, f"x{i}") for i, v in enumerate(node.inputs)]
    floats = [x for x in inputs if x.dtype in FLOATS]
    y = apply(op, inputs, node.attrs)
    dy = Input(node.spec.shape, node.dtype, name="dy")
    names = {x: x.label for x in inputs} | {y: "y", dy: "dy"}
    pulled = vjp(y, floats, dy)
    return tuple(
        f"∂{x.label} = {written(part, names)}"
        for x, part in zip(floats, pulled, strict=True)
        if part is not None
    )


def source_of(op: Op) -> str:
    """The body of an op, or else its NumPy reference; a lambda has no lines of its own."""
    body = getattr(op.kernel, "body", None)
    function = op.reference if body is None else body.function
    if not isinstance(function, FunctionType) or function.__name__ == "<lambda>":
        return ""
    try:
        return textwrap.dedent(inspect.getsource(function.__code__)).rstrip()
    except OSError:  # typed in at a prompt
        return "" if body is None else ast.unparse(body.tree)
