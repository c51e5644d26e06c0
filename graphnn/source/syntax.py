"""What the syntax tree of a kernel body says: its free names, and the ways through it."""

from __future__ import annotations

import ast
import builtins
import inspect
import os
import textwrap
from collections.abc import Callable, Iterable, Sequence
from types import FunctionType

from graphnn.errors import KernelError

BUILTINS = frozenset({"abs", "min", "max", "range", "len", "int", "float", "bool"})
_REFUSED = (ast.Assert, ast.Raise, ast.Try, ast.With, ast.Global, ast.Nonlocal, ast.Yield)


def always_return(statements: Sequence[ast.stmt]) -> bool:
    """Whether every way through the statements ends at a ``return``."""
    for statement in statements:
        if isinstance(statement, ast.Return):
            return True
        if isinstance(statement, ast.If) and all(
            map(always_return, (statement.body, statement.orelse))
        ):
            return True
    return False


def unassigned(statements: Sequence[ast.stmt], known: Iterable[str]) -> str | None:
    """A local name that is read where some way to it has not assigned it; None if there is none."""
    local = {n.id for s in statements for n in ast.walk(s) if isinstance(n, ast.Name)
             and isinstance(n.ctx, ast.Store)}  # fmt: skip
    return _walked(statements, set(known), local)[1]


def _walked(
    statements: Sequence[ast.stmt], known: set[str] | None, local: set[str]
) -> tuple[set[str] | None, str | None]:
    """What is assigned after the statements (None: nothing goes on there), and what is missing."""
    for statement in statements:
        if known is None:
            break
        parts: list[ast.AST] = [statement]
        if isinstance(statement, ast.If | ast.While):
            parts = [statement.test]
        elif isinstance(statement, ast.For):
            parts = [statement.iter]
        names = [n for part in parts for n in ast.walk(part) if isinstance(n, ast.Name)]
        read = [n.id for n in names if isinstance(n.ctx, ast.Load)]
        if isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
            read.append(statement.target.id)
        for name in read:
            if name in local and name not in known:
                return known, name
        known = known | {n.id for n in names if isinstance(n.ctx, ast.Store)}
        if isinstance(statement, ast.Return):
            return None, None
        if isinstance(statement, ast.If):
            first, missing = _walked(statement.body, known, local)
            other, also = _walked(statement.orelse, known, local)
            if missing or also:
                return known, missing or also
            ways = [way for way in (first, other) if way is not None]
            known = set.intersection(*ways) if ways else None
        elif isinstance(statement, ast.For | ast.While):  # taken to run at least once
            targets = ast.walk(statement.target) if isinstance(statement, ast.For) else ()
            known = known | {n.id for n in targets if isinstance(n, ast.Name)}
            inner, missing = _walked(statement.body, known, local)
            if missing:
                return known, missing
            known = known | (inner or set())
    return known, None


def is_nothing(node: ast.expr | None) -> bool:
    """Whether what stands behind a ``return`` is None, or nothing."""
    return node is None or (isinstance(node, ast.Constant) and node.value is None)


def simple_target(statement: ast.stmt) -> bool:
    """Whether an assignment is to plain names."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]  # type: ignore[attr-defined]
    return all(isinstance(t, ast.Name) for t in targets)


def without_dead_assignments(tree: ast.FunctionDef) -> ast.FunctionDef:
    """Drops plain assignments to names that nothing reads any more."""
    while True:
        read = {
            n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
        }
        kept = [
            s
            for s in tree.body
            if not (isinstance(s, ast.Assign) and simple_target(s))
            or any(t.id in read for t in s.targets)  # type: ignore[attr-defined]
        ]
        if len(kept) == len(tree.body):
            return tree
        tree.body = kept


def parsed(function: Callable[..., object]) -> ast.FunctionDef:
    """The syntax tree of a plain function.

    Raises
    ------
    KernelError
        If its source cannot be read, or holds what no kernel can.
    """
    if not isinstance(function, FunctionType):
        raise KernelError(
            f"a kernel body must be a plain Python function; got {type(function).__name__}"
        )
    code = function.__code__
    if code.co_name == "<lambda>":
        place = f"{os.path.basename(code.co_filename)}:{code.co_firstlineno}"
        raise KernelError(
            f"the lambda at {place} has no lines of its own to be read; define it with `def` in a "
            "file or a notebook cell"
        )
    try:
        # Its code, not the function: functools.wraps would have the lines of another one read.
        text = textwrap.dedent(inspect.getsource(code))
        defs = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
        problem = "" if defs else "it is no `def`"
    except (OSError, TypeError, SyntaxError) as error:
        defs, problem = [], str(error)
    if not defs:
        raise KernelError(
            f"{function.__name__}: its source cannot be read ({problem}); "
            "define it with `def` in a file or a notebook cell"
        )
    for node in ast.walk(defs[0]):
        if isinstance(node, _REFUSED):
            raise KernelError(
                f"{function.__name__}: a kernel body cannot hold `{ast.unparse(node)}`: compiled "
                "code has nobody to tell. Check values before the call, or return math.nan."
            )
    arguments = defs[0].args
    if arguments.vararg or arguments.kwarg or arguments.defaults:
        raise KernelError(
            f"{function.__name__}: the parameters of a kernel body are plain names, without "
            f"defaults or *; got ({ast.unparse(arguments)})"
        )
    return defs[0]


def free_names(tree: ast.FunctionDef) -> list[str]:
    """The names that a function reads and does not bind, in order."""
    bound: set[str] = {arg.arg for arg in [*tree.args.args, *tree.args.kwonlyargs]}
    read: list[str] = []
    for statement in tree.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name):
                (bound.add if isinstance(node.ctx, ast.Store) else read.append)(node.id)
    return [name for name in dict.fromkeys(read) if name not in bound]


def attributes_of(tree: ast.FunctionDef, module: str) -> list[str]:
    """What a function takes out of a module: ``sigmoid`` for ``gn.sigmoid``."""
    nodes = [node for statement in tree.body for node in ast.walk(statement)]
    found = [n for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)]
    return [n.attr for n in found if n.value.id == module]  # type: ignore[attr-defined]


def looked_up(function: Callable[..., object], name: str) -> object:
    """What a free name of a function stands for.

    Raises
    ------
    KernelError
        If it is not defined.
    """
    assert isinstance(function, FunctionType)
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    if name in cells:
        try:
            return cells[name].cell_contents
        except ValueError:  # assigned only later, as by a function that calls itself
            pass
    if name in function.__globals__:
        return function.__globals__[name]
    if name in BUILTINS:
        return getattr(builtins, name)
    raise KernelError(
        f"{function.__name__}: the name {name!r} is not defined; a kernel body may use its "
        "arguments, numbers, math and plain functions"
    )
