"""Python functions read as source: the bodies from which every backend's kernels are made.

An op's formula is written once, in plain Python. Here it is parsed, its constants are resolved, and
its text is emitted for one dtype: ``math.exp`` becomes ``exp``, a literal ``1`` becomes ``T(1)``,
so that nothing promotes to float64 behind the user's back.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from graphnn.errors import KernelError
from graphnn.source.syntax import (
    BUILTINS,
    always_return,
    attributes_of,
    free_names,
    is_nothing,
    looked_up,
    parsed,
    simple_target,
    without_dead_assignments,
)

MATH_FUNCTIONS = frozenset(
    {
        *("exp", "log", "sqrt", "tanh", "sin", "cos", "tan", "erf", "expm1", "log1p", "fabs"),
        *("floor", "ceil", "pow", "atan", "atan2", "sinh", "cosh", "asin", "acos", "trunc"),
        *("isnan", "isinf", "isfinite", "copysign", "log2", "log10", "rint"),
    }
)
# NumPy's names of the same functions; ``rint`` is NumPy's alone.
NUMPY_NAMES = {"abs": "fabs", "power": "pow", "arctan": "atan", "arctan2": "atan2"}
NUMPY_NAMES |= {"arcsin": "asin", "arccos": "acos"}
_CONSTANTS = {"pi": math.pi, "e": math.e, "inf": math.inf, "nan": math.nan, "tau": math.tau}

SUFFIX = {"float32": "f32", "float64": "f64", "int64": "i64", "int32": "i32", "uint8": "u8"}
SUFFIX["bool"] = "b1"


def fast_add(a: float, b: float) -> float:
    """``a + b`` in a kernel's sum whose terms may be added in any order: in vector lanes."""
    return a + b


_reading = threading.RLock()


def _is_own(function: FunctionType) -> bool:
    return (function.__module__ or "").startswith("graphnn.")


def math_name(name: str, dtype: str, where: str) -> str:
    """What a kernel calls the math function ``name`` for one dtype: ``exp_f32``."""
    if dtype not in ("float32", "float64"):
        raise KernelError(f"{where}: math.{name} takes floats; got {dtype}. Cast with gn.cast.")
    return f"{name}_{SUFFIX[dtype]}"


class Body:
    """A function's source, its parameters, and what its free names stand for.

    Functions of graphnn's own are read when they are first needed: most programs use few of them.

    Parameters
    ----------
    function
        Plain Python function: arithmetic, comparisons, conditionals, loops, ``math``, numbers
        from the enclosing module, and calls of other such functions.

    Raises
    ------
    KernelError
        If the source cannot be found, or a free name is not something a kernel can hold.
    """

    def __init__(
        self, function: Callable[..., object], callers: tuple[Callable[..., object], ...] = ()
    ) -> None:
        self.function, self.callers = function, (*callers, function)
        called = getattr(function, "__name__", "_")
        self.name = "body" if called == "_" else called
        self.is_formula = False
        self.is_own = isinstance(function, FunctionType) and _is_own(function)
        if self.is_own:
            code = function.__code__
            count = code.co_argcount
            self.params = code.co_varnames[:count]
            self.keywords = code.co_varnames[count : count + code.co_kwonlyargcount]
        else:
            self._read()
            self.params = tuple(arg.arg for arg in self.tree.args.args)
            self.keywords = tuple(arg.arg for arg in self.tree.args.kwonlyargs)

    tree: ast.FunctionDef
    constants: dict[str, float]
    callees: dict[str, Body]
    modules: set[str]

    def __getattr__(self, name: str) -> Any:
        if name not in ("tree", "constants", "callees", "modules"):
            raise AttributeError(name)
        self._read()
        return self.__dict__[name]

    def _read(self) -> None:
        """Parse the function, and look up what its names stand for."""
        with _reading:
            self.tree = parsed(self.function)
            self.constants, self.callees, self.modules = {}, {}, set()
            for name in free_names(self.tree):
                self._resolve(name)
            if self.is_formula:
                self.as_formula()

    def _resolve(self, name: str) -> None:
        value = looked_up(self.function, name)
        if isinstance(value, ModuleType) and value in (math, np):
            self.modules.add(name)
        elif isinstance(value, ModuleType):
            for attribute in attributes_of(self.tree, name):
                self._keep(f"{name}.{attribute}", getattr(value, attribute, None))
        elif name not in BUILTINS or value is not getattr(builtins, name):
            self._keep(name, value)

    def _keep(self, name: str, value: object) -> None:
        """Remember what a name stands for: a number, a plain function, or an elementwise op."""
        if isinstance(value, bool | int | float | np.number):
            self.constants[name] = value.item() if isinstance(value, np.number) else value
        elif value is fast_add:
            return  # every backend has its own
        elif isinstance(value, FunctionType) and value not in self.callers:
            self.callees[name] = Body(value, self.callers)
        elif isinstance(body := getattr(value, "body", None), Body) and not self._is(body):
            self.callees[name] = body
        elif isinstance(body, Body) or isinstance(value, FunctionType):
            raise KernelError(f"{self.name}: a kernel body cannot call itself, by {name!r}")
        else:
            raise KernelError(
                f"{self.name}: a kernel body may use its arguments, numbers, math, plain functions "
                f"and elementwise ops; {name!r} is {type(value).__name__}. Pass it as an argument."
            )

    def _is(self, body: Body) -> bool:
        """Whether ``body`` is this function, as an earlier run of its declaration made it."""
        return body.function.__qualname__ == self.function.__qualname__

    @property
    def statements(self) -> list[ast.stmt]:
        """The body without its docstring."""
        body = self.tree.body
        first = body[0]
        has_doc = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        return body[1:] if has_doc and isinstance(first.value.value, str) else body  # type: ignore[attr-defined]

    @property
    def is_straight_line(self) -> bool:
        """Whether the body is assignments and one closing ``return``: it can be inlined."""
        *before, last = self.statements
        plain = all(
            isinstance(s, ast.Assign | ast.AugAssign | ast.AnnAssign) and simple_target(s)
            for s in before
        )
        return plain and isinstance(last, ast.Return) and last.value is not None

    def as_formula(self) -> Body:
        """The body, marked as a scalar formula: all its numbers are typed, whoever calls it."""
        self.is_formula = True
        for callee in self.__dict__.get("callees", {}).values():  # else when they are read
            callee.as_formula()
        return self

    @property
    def always_returns(self) -> bool:
        """Whether every way through the body ends at a ``return`` of a value."""
        nodes = [node for statement in self.statements for node in ast.walk(statement)]
        empty = any(isinstance(n, ast.Return) and is_nothing(n.value) for n in nodes)
        return not empty and always_return(self.statements)

    def used_params(self) -> tuple[str, ...]:
        """The parameters that the body reads, in order."""
        read = {n.id for s in self.statements for n in ast.walk(s) if isinstance(n, ast.Name)}
        return tuple(p for p in self.params if p in read)

    def returned(self, index: int, count: int) -> Body:
        """The same function returning only element ``index`` of the ``count`` that it returns."""
        tree = ast.parse(ast.unparse(self.tree)).body[0]
        assert isinstance(tree, ast.FunctionDef)
        clone = object.__new__(Body)
        clone.__dict__.update(self.__dict__)
        for node in ast.walk(tree):
            if isinstance(node, ast.Return):
                if not isinstance(node.value, ast.Tuple) or len(node.value.elts) != count:
                    raise KernelError(
                        f"{self.name}: the backward of an op of {count} inputs returns a tuple of "
                        f"{count} derivatives; it has {ast.unparse(node)!r}"
                    )
                node.value = node.value.elts[index]
        clone.tree = without_dead_assignments(tree)
        return clone

    def renamed(self, name: str, params: Sequence[str]) -> Body:
        """The same body under another name with other parameter names and order."""
        tree = ast.parse(ast.unparse(self.tree)).body[0]
        assert isinstance(tree, ast.FunctionDef)
        clone = object.__new__(Body)
        clone.__dict__.update(self.__dict__)
        tree.name = name
        tree.args.args = [ast.arg(p) for p in params]
        clone.tree, clone.name, clone.params = tree, name, tuple(params)
        return clone

    def inline(self, arguments: Sequence[str], result: str, mark: str, dtype: str) -> list[str]:
        """Lines that leave ``body(*arguments)`` in ``result``; locals end in ``mark``."""
        return list(_inlined(self, tuple(arguments), result, mark, dtype))

    def definition(self, name: str, dtype: str, literals: str = "all") -> str:
        """The function's text for one dtype; ``literals``: which ones are typed.

        ``"all"`` types every number (a scalar formula), ``"float"`` only those written with a
        point (a kernel with loops and indices).
        """
        return _definition(self, name, dtype, literals)

    def symbol(self, name: str, dtype: str) -> str:
        """What kernels call the function: two different ones of one name stay apart."""
        text = self.definition(name, "float64")
        digest = hashlib.sha256(text.encode()).hexdigest()[:6]
        return f"{name.replace('.', '_')}_{digest}_{SUFFIX[dtype]}"

    def all_callees(self) -> Iterator[tuple[str, Body]]:
        """Every function that the body calls, callees of callees first."""
        for name, callee in self.callees.items():
            yield from callee.all_callees()
            yield name, callee


@lru_cache(maxsize=4096)  # a graph of a thousand layers asks a thousand times
def _definition(body: Body, name: str, dtype: str, literals: str) -> str:
    tree = _copy(body.tree)
    assert isinstance(tree, ast.FunctionDef)
    tree.name = name
    tree.body = [_copy(s) for s in body.statements]
    tree.decorator_list, tree.returns = [], None
    for arg in [*tree.args.args, *tree.args.kwonlyargs]:
        arg.annotation = None
    typed = _Typed(body, {}, dtype, literals).visit(tree)
    return ast.unparse(ast.fix_missing_locations(typed))


@lru_cache(maxsize=4096)  # networks that are declared again, as in a search, ask the same again
def _inlined(
    body: Body, arguments: tuple[str, ...], result: str, mark: str, dtype: str
) -> tuple[str, ...]:
    names = dict(zip(body.params, arguments, strict=True))
    lines = []
    for node in (node for statement in body.statements for node in ast.walk(statement)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            local = f"{node.id}{mark}"
            if node.id in body.params and names[node.id] != local:  # a new value for a parameter
                lines.append(f"{local} = {names[node.id]}")
            names[node.id] = local
    for statement in body.statements:
        emitted = _Typed(body, names, dtype).visit(_copy(statement))
        if isinstance(emitted, ast.Return):
            lines.append(f"{result} = {ast.unparse(emitted.value)}")  # type: ignore[arg-type]
        else:
            lines.append(ast.unparse(ast.fix_missing_locations(emitted)))
    return tuple(lines)


class _Typed(ast.NodeTransformer):
    """Types the literals, names the math functions as the backends do, renames locals."""

    def __init__(
        self, body: Body, names: Mapping[str, str], dtype: str, literals: str = "all"
    ) -> None:
        self.body, self.names, self.dtype, self.literals = body, names, dtype, literals

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            return node
        if isinstance(value, int) and self.literals == "float":
            return node
        return self._number(value)

    def _number(self, value: float) -> ast.expr:
        if self.dtype not in ("float32", "float64") and not float(value).is_integer():
            raise KernelError(
                f"{self.body.name}: {value} is no {self.dtype}, and nothing is rounded silently. "
                "Cast the inputs: gn.cast(x, 'float32')."
            )
        return _typed_number(value, self.dtype)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self.names:
            return ast.Name(self.names[node.id], node.ctx)
        if node.id in self.body.constants:
            number: ast.AST = self.visit(ast.Constant(self.body.constants[node.id]))
            return number
        if node.id in self.body.callees:
            return ast.Name(self.body.callees[node.id].symbol(node.id, self.dtype), node.ctx)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name) and node.value.id in self.body.modules:
            if node.attr in _CONSTANTS:
                return self._number(_CONSTANTS[node.attr])
            name = NUMPY_NAMES.get(node.attr, node.attr)
            if name not in MATH_FUNCTIONS:
                raise KernelError(
                    f"{self.body.name}: {ast.unparse(node)} has no kernel form; use one of "
                    f"{', '.join(sorted(MATH_FUNCTIONS))}"
                )
            return ast.Name(math_name(name, self.dtype, self.body.name), ast.Load())
        name = ast.unparse(node)
        if name in self.body.constants or name in self.body.callees:
            return self.visit_Name(ast.Name(name, node.ctx))  # gn.sigmoid, settings.RATE
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        exponent = node.right
        if isinstance(node.op, ast.Pow) and _is_whole(exponent):
            return ast.BinOp(self.visit(node.left), node.op, exponent)
        return self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        kept, self.literals = self.literals, "float"
        index = self.visit(node.slice)
        self.literals = kept
        return ast.Subscript(self.visit(node.value), index, node.ctx)


def _typed_number(value: float, dtype: str) -> ast.expr:
    text = {"inf": "INF", "-inf": "-INF", "nan": "NAN"}.get(repr(value), repr(value))
    return ast.parse(f"{dtype}({text})", mode="eval").body


def _is_whole(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int)


def _copy(node: ast.AST) -> ast.stmt:
    return ast.parse(ast.unparse(ast.fix_missing_locations(node))).body[0]
