"""From scalar code back to nodes: how a formula is differentiated that declares no gradient.

A formula such as ``x / (1 + math.exp(-x))`` is run once with nodes in place of scalars: arithmetic
overloads do the rest, ``math.exp`` becomes the op ``exp``, ``a if c else b`` the op ``where``, and
so does an ``if`` statement, by running both of its branches. What comes out is an ordinary graph of
primitive ops, which autodiff and fusion treat like any other.

Both branches are computed, and the cotangent of the one that was not chosen is 0. Its own slope may
be infinite there, as that of ``math.log(x) if x > 0 else 0`` at 0, and 0 times infinity is nan. So
each branch reads its names through a gate, ``where(c, x, 0.5)``: no derivative passes where the
branch is not taken. What is computed before the ``if`` has no gate: write ``math.log(x)`` inside.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphnn.errors import KernelError
from graphnn.node import Constant, Node, apply, as_nodes, call
from graphnn.op import registry
from graphnn.source import MATH_FUNCTIONS, NUMPY_NAMES, Body
from graphnn.spec import FLOATS, broadcast_shapes

# Operators on two numbers, and the ops that do the same with nodes.
_BINARY: dict[type[ast.operator], tuple[Callable[[Any, Any], Any], str]] = {
    ast.Add: (operator.add, "add"),
    ast.Sub: (operator.sub, "subtract"),
    ast.Mult: (operator.mul, "multiply"),
    ast.Div: (operator.truediv, "divide"),
    ast.FloorDiv: (operator.floordiv, "floor_divide"),
    ast.Mod: (operator.mod, "remainder"),
    ast.Pow: (operator.pow, "power"),
}
_COMPARISONS: dict[type[ast.cmpop], tuple[Callable[[Any, Any], Any], str]] = {
    ast.Gt: (operator.gt, "greater"),
    ast.Lt: (operator.lt, "less"),
    ast.GtE: (operator.ge, "greater_equal"),
    ast.LtE: (operator.le, "less_equal"),
    ast.Eq: (operator.eq, "equal"),
    ast.NotEq: (operator.ne, "not_equal"),
}
# The math functions whose op has another name.
_OPS = {"fabs": "abs", "pow": "power", "atan": "arctan", "atan2": "arctan2", "rint": "round"}
_OPS |= {"asin": "arcsin", "acos": "arccos"}
_PAIRWISE: dict[str, tuple[Callable[..., Any], str]] = {
    "min": (min, "minimum"),
    "max": (max, "maximum"),
}

# What a slope can be infinite of; sums and differences of names have none.
_STEEP = (ast.Call, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)


def lift(name: str, body: Body, inputs: Sequence[Node]) -> Node:
    """The graph of primitive ops that computes ``body(*inputs)``.

    Raises
    ------
    KernelError
        Where the code has loops, or a function that is no op.
    """
    like = next((value for value in inputs if value.dtype != "bool"), inputs[0])
    value = _Reader(name, body, inputs, like).result()
    node = value if isinstance(value, Node) else Constant(value, dtype=like.dtype)
    shape = broadcast_shapes(*(value.spec.shape for value in inputs))
    return node if node.spec.shape == shape else call("broadcast_to", node, shape=shape)


class _Reader:
    """Evaluates a body over nodes and numbers."""

    def __init__(self, op: str, body: Body, values: Sequence[Any], like: Node) -> None:
        self.op, self.body, self.like = op, body, like
        self.names: dict[str, Any] = dict(zip(body.params, values, strict=True))

    def result(self) -> Any:
        """What the body returns."""
        return self._returned(self.body.statements)

    def _returned(self, statements: Sequence[ast.stmt]) -> Any:
        value = self._run(statements)
        if value is None:
            raise self._cannot(self.body.tree)
        return value

    # Statements: None until one of them returns.

    def _run(self, statements: Sequence[ast.stmt]) -> Any:
        for i, statement in enumerate(statements):
            match statement:
                case ast.Return(value=ast.expr() as value):
                    return self.value(value)
                case ast.Assign():
                    for target in statement.targets:
                        self._assign(target, self.value(statement.value))
                case ast.AugAssign(target=ast.Name(id=name)):
                    old = ast.Name(name, ast.Load())
                    value = ast.BinOp(old, statement.op, statement.value)
                    self.names[name] = self.value(value)
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    self.names[name] = self.value(value)
                case ast.If():
                    rest = statements[i + 1 :]
                    if not _returns(statement):
                        self._branch(statement)
                        continue
                    return self._return_of_either(statement, rest)
                case ast.Pass():
                    pass
                case _:
                    raise self._cannot(statement)
        return None

    def _assign(self, target: ast.expr, value: Any) -> None:
        match target:
            case ast.Name(id=name):
                self.names[name] = value
            case ast.Tuple(elts=names) if isinstance(value, tuple) and len(value) == len(names):
                for each, part in zip(names, value, strict=True):
                    self._assign(each, part)
            case _:
                raise self._cannot(target)

    def _return_of_either(self, statement: ast.If, rest: Sequence[ast.stmt]) -> Any:
        condition = self._truth(self.value(statement.test))
        ways = [[*statement.body, *rest], [*statement.orelse, *rest]]
        if not isinstance(condition, Node):
            return self._returned(ways[0] if condition else ways[1])
        before = self.names
        results = []
        for way, taken in zip(ways, (True, False), strict=True):
            self.names = self._gated(condition, taken, way)
            results.append(self._returned(way))
            self.names = before
        return self._choose(condition, *results)

    def _branch(self, statement: ast.If) -> None:
        """Both branches assign; a name that only one of them knows is not known behind them."""
        condition = self._truth(self.value(statement.test))
        if not isinstance(condition, Node):
            self._run(statement.body if condition else statement.orelse)
            return
        before, found = self.names, []
        for way, taken in ((statement.body, True), (statement.orelse, False)):
            gated = self._gated(condition, taken, way)
            self.names = dict(gated)
            self._run(way)
            found.append(
                {
                    name: before[name] if value is gated.get(name) else value
                    for name, value in self.names.items()
                }
            )
            self.names = before
        one, other = found
        self.names = {
            name: value if value is other[name] else self._choose(condition, value, other[name])
            for name, value in one.items()
            if name in other
        }

    def _gated(self, condition: Node, taken: bool, way: Sequence[ast.AST]) -> dict[str, Any]:
        """The names as one branch reads them: no derivative passes where it is not taken."""
        parts = [node for part in way for node in ast.walk(part)]
        if not any(isinstance(node, _STEEP) for node in parts):
            return dict(self.names)
        read = {node.id for node in parts if isinstance(node, ast.Name)}
        return {
            name: self._gate(condition, taken, value) if name in read else value
            for name, value in self.names.items()
        }

    def _gate(self, condition: Node, taken: bool, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(self._gate(condition, taken, part) for part in value)
        if not isinstance(value, Node) or value.dtype not in FLOATS:
            return value
        # Any number would do: what follows from it is chosen neither forward nor in reverse.
        other = Constant(0.5, dtype=value.dtype)
        return call("where", condition, *((value, other) if taken else (other, value)))

    def _within(self, condition: Node, taken: bool, node: ast.expr) -> Any:
        """The value of an expression that counts only where the condition is so."""
        before, self.names = self.names, self._gated(condition, taken, [node])
        value = self.value(node)
        self.names = before
        return value

    # Expressions.

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=bool() | int() | float() as value):
                return value
            case ast.Name(id=name):
                return self._named(node, name)
            case ast.Tuple():
                return tuple(self.value(part) for part in node.elts)
            case ast.BinOp():
                return self._binary(node)
            case ast.UnaryOp():
                return self._unary(node)
            case ast.Compare():
                return self._compare(node)
            case ast.BoolOp():
                return self._logic(node)
            case ast.IfExp():
                condition = self._truth(self.value(node.test))
                if not isinstance(condition, Node):
                    return self.value(node.body if condition else node.orelse)
                one = self._within(condition, True, node.body)
                return self._choose(condition, one, self._within(condition, False, node.orelse))
            case ast.Call(keywords=[]):
                return self._call(node)
            case ast.Attribute() if ast.unparse(node) in self.body.constants:
                return self.body.constants[ast.unparse(node)]
            case ast.Attribute(value=ast.Name(id=module), attr=attr) if (
                module in self.body.modules and isinstance(getattr(math, attr, None), float)
            ):
                return getattr(math, attr)
            case _:
                raise self._cannot(node)

    def _named(self, node: ast.expr, name: str) -> Any:
        if name in self.names:
            return self.names[name]
        if name in self.body.constants:
            return self.body.constants[name]
        raise self._cannot(node)

    def _binary(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        if type(node.op) not in _BINARY:
            raise self._cannot(node)
        function, op = _BINARY[type(node.op)]
        if op == "power" and isinstance(node.right, ast.Constant) and isinstance(right, int):
            return _whole_power(self._number(left), right)
        return self._apply(function, op, left, right)

    def _unary(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        match node.op:
            case ast.USub():
                return -self._number(value)
            case ast.UAdd():
                return self._number(value)
            case ast.Not():
                truth = self._truth(value)
                return call("logical_not", truth) if isinstance(truth, Node) else not truth
            case _:
                raise self._cannot(node)

    def _compare(self, node: ast.Compare) -> Any:
        """``a < b < c`` is ``a < b and b < c``."""
        values = [self.value(part) for part in (node.left, *node.comparators)]
        result: Any = None
        for left, right, sign in zip(values, values[1:], node.ops, strict=False):
            if type(sign) not in _COMPARISONS:
                raise self._cannot(node)
            found = self._apply(*_COMPARISONS[type(sign)], left, right)
            result = found if result is None else self._both(result, found)
        return result

    def _both(self, a: Any, b: Any) -> Any:
        if isinstance(a, Node) and isinstance(b, Node):
            return call("logical_and", a, b)
        decided, other = (b, a) if isinstance(a, Node) else (a, b)
        return other if decided else False

    def _logic(self, node: ast.BoolOp) -> Any:
        """``and`` and ``or`` have the value of the part that decides."""
        first, is_and = self.value(node.values[0]), isinstance(node.op, ast.And)
        for part in node.values[1:]:
            truth = self._truth(first)
            if not isinstance(truth, Node):
                first = self.value(part) if bool(truth) is is_and else first
                continue
            other = self._within(truth, is_and, part)
            if truth is first and isinstance(other, Node) and other.dtype == "bool":
                first = call("logical_and" if is_and else "logical_or", first, other)
            else:
                ways = (other, first) if is_and else (first, other)
                first = self._choose(truth, *ways)
        return first

    def _call(self, node: ast.Call) -> Any:
        values = [self.value(argument) for argument in node.args]
        called = ast.unparse(node.func)
        if called in self.body.callees:
            return self._call_function(self.body.callees[called], values)
        if isinstance(node.func, ast.Name):
            return self._call_builtin(node, called, values)
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        name = NUMPY_NAMES.get(name, name)
        if name not in MATH_FUNCTIONS:
            raise self._cannot(node)
        op = _OPS.get(name, name)
        if len(values) != len(registry[op].examples[0].inputs):
            raise self._cannot(node)
        return self._apply(getattr(math, name, None) or getattr(np, name), op, *values)

    def _call_builtin(self, node: ast.Call, name: str, values: Sequence[Any]) -> Any:
        if name == "abs" and len(values) == 1:
            return self._apply(abs, "abs", *values)
        if name == "float" and len(values) == 1:
            return self._number(values[0])
        if name in _PAIRWISE and len(values) > 1:
            first, *rest = values
            for other in rest:
                first = self._apply(*_PAIRWISE[name], first, other)
            return first
        raise self._cannot(node)

    def _call_function(self, callee: Body, values: Sequence[Any]) -> Any:
        """A plain function is read like the body itself; an op is applied, by its own rules."""
        for op in registry.values():
            if getattr(op.kernel, "body", None) is callee and any(map(_is_node, values)):
                return apply(op, as_nodes(*map(self._number, values)))
        return _Reader(self.op, callee, values, self.like).result()

    # Numbers and nodes.

    def _apply(self, function: Callable[..., Any], op: str, *values: Any) -> Any:
        if not any(map(_is_node, values)):
            return function(*values)
        return call(op, *map(self._number, values))

    def _number(self, value: Any) -> Any:
        """A bool among numbers counts as 0 or 1."""
        if isinstance(value, Node) and value.dtype == "bool" != self.like.dtype:
            return call("cast", value, dtype=self.like.dtype)
        return int(value) if isinstance(value, bool) else value

    def _truth(self, value: Any) -> Any:
        if isinstance(value, Node):
            return value if value.dtype == "bool" else call("not_equal", value, 0)
        return bool(value)

    def _choose(self, condition: Node, a: Any, b: Any) -> Any:
        if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
            return tuple(self._choose(condition, x, y) for x, y in zip(a, b, strict=True))
        ways = [a, b]
        if not all(isinstance(v, bool) or (_is_node(v) and v.dtype == "bool") for v in ways):
            dtype, ways = self.like.dtype, [self._number(value) for value in ways]
        else:
            dtype = "bool"
        return call(
            "where", condition, *(v if _is_node(v) else Constant(v, dtype=dtype) for v in ways)
        )

    def _cannot(self, node: ast.AST) -> KernelError:
        text = ast.unparse(node).splitlines()[0]
        what = "assignments, `if`, arithmetic, comparisons, math and other such functions"
        if "_backward" in self.op:
            way_out = "Its derivative was declared by hand; write that with these alone."
        else:
            way_out = f"Declare it: @{self.op}.backward"
        return KernelError(
            f"{self.op}: the gradient can be derived from {what}; no gradient can be derived "
            f"through `{text}` ({self.body.name}). {way_out}"
        )


def _is_node(value: Any) -> bool:
    return isinstance(value, Node)


def _returns(statement: ast.stmt) -> bool:
    return any(isinstance(node, ast.Return) for node in ast.walk(statement))


def _whole_power(base: Any, exponent: int) -> Any:
    """``base ** exponent`` by squaring, as the kernel computes it."""
    if not isinstance(base, Node):
        return base**exponent
    if exponent < 0:
        return 1.0 / _whole_power(base, -exponent)
    result: Any = None
    while exponent:
        if exponent & 1:
            result = base if result is None else result * base
        exponent >>= 1
        base = base * base if exponent else base
    return 1 if result is None else result
