"""From scalar code back to nodes: how a formula is differentiated that declares no gradient.

A formula such as ``x / (1 + math.exp(-x))`` is run once with nodes in place of scalars: arithmetic
overloads do the rest, ``math.exp`` becomes the op ``exp``, ``a if c else b`` the op ``where``. What
comes out is an ordinary graph of primitive ops, which autodiff and fusion treat like any other.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from typing import Any

from graphnn.errors import KernelError
from graphnn.node import Node, NodeLike, call
from graphnn.op import registry
from graphnn.source import Body

_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Gt: "greater",
    ast.Lt: "less",
    ast.GtE: "greater_equal",
    ast.LtE: "less_equal",
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
}
_FUNCTIONS = {"fabs": "abs", "pow": "power", "abs": "abs", "min": "minimum", "max": "maximum"}


def lift(name: str, body: Body, inputs: Sequence[Node]) -> Node:
    """The graph of primitive ops that computes ``body(*inputs)``.

    Raises
    ------
    KernelError
        Where the code has loops or branches, or a function that is no op.
    """
    if not body.is_straight_line:
        raise KernelError(
            f"{name}: the gradient can be derived from assignments, arithmetic, math functions and "
            f"`a if c else b`; this body has statements beyond those. Declare it: @{name}.backward"
        )
    names: dict[str, Any] = dict(zip(body.params, inputs, strict=True))
    reader = _Reader(name, body, names)
    for statement in body.statements:
        if isinstance(statement, ast.Return):
            assert statement.value is not None
            return _as_result(reader.value(statement.value), inputs)
        reader.assign(statement)
    raise KernelError(f"{name}: the body returns nothing")


def _as_result(value: NodeLike, inputs: Sequence[Node]) -> Node:
    return value if isinstance(value, Node) else inputs[0] * 0.0 + value


class _Reader:
    """Evaluates expressions of a body over nodes and numbers."""

    def __init__(self, op: str, body: Body, names: dict[str, Any]) -> None:
        self.op, self.body, self.names = op, body, names

    def assign(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Assign):
            value = self.value(statement.value)
            for target in statement.targets:
                assert isinstance(target, ast.Name)
                self.names[target.id] = value
        elif isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
            old = ast.Name(statement.target.id, ast.Load())
            self.names[statement.target.id] = self.value(
                ast.BinOp(old, statement.op, statement.value)
            )
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            assert statement.value is not None
            self.names[statement.target.id] = self.value(statement.value)

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return self.names[node.id] if node.id in self.names else self._number(node.id)
            case ast.BinOp():
                return self._binary(node)
            case ast.UnaryOp(op=ast.USub()):
                return -self.value(node.operand)
            case ast.Compare(ops=[op], comparators=[right]):
                return call(_COMPARISONS[type(op)], self.value(node.left), self.value(right))
            case ast.BoolOp():
                joined = "logical_and" if isinstance(node.op, ast.And) else "logical_or"
                first, *rest = [self.value(v) for v in node.values]
                for other in rest:
                    first = call(joined, first, other)
                return first
            case ast.IfExp():
                return self._choose(node)
            case ast.Call():
                return self._call(node)
            case ast.Attribute(value=ast.Name(id=module)) if module in self.body.modules:
                return getattr(math, node.attr)
            case _:
                raise self._cannot(node)

    def _number(self, name: str) -> float:
        return self.body.constants[name]

    def _binary(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        match node.op:
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
            case ast.Mult():
                return left * right
            case ast.Div():
                return left / right
            case ast.Pow():
                return self._power(left, right)
            case _:
                raise self._cannot(node)

    def _power(self, base: Any, exponent: Any) -> Any:
        if isinstance(base, Node) and isinstance(exponent, int) and 0 < exponent <= 4:
            result = base
            for _ in range(exponent - 1):
                result = result * base
            return result
        return base**exponent

    def _choose(self, node: ast.IfExp) -> Node:
        condition, a, b = (self.value(part) for part in (node.test, node.body, node.orelse))
        if not isinstance(a, Node) and not isinstance(b, Node):
            like = next(v for v in self.names.values() if isinstance(v, Node) and v.dtype != "bool")
            a = like * 0.0 + a
        return call("where", condition, a, b)

    def _call(self, node: ast.Call) -> Any:
        arguments = [self.value(argument) for argument in node.args]
        if isinstance(node.func, ast.Name) and node.func.id in self.body.callees:
            return lift(self.op, self.body.callees[node.func.id], arguments)
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        name = _FUNCTIONS.get(name, name)
        if name not in registry:
            raise self._cannot(node)
        return call(name, *arguments)

    def _cannot(self, node: ast.AST) -> KernelError:
        return KernelError(
            f"{self.op}: no gradient can be derived through `{ast.unparse(node)}`. "
            f"Declare it: @{self.op}.backward"
        )
