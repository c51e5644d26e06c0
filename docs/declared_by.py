"""Which public names declare an op, and which sources their docstrings cite."""

import ast
import doctest
import inspect
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

import graphnn as gn
from graphnn import nn, ops, optim
from graphnn.node import Constant, Node
from graphnn.op import Leaf, Op
from graphnn.ops.declare.elementwise import Elementwise

FUNCTIONS = {
    id(inspect.unwrap(getattr(gn, name))): name for name in reversed(ops.__all__)
}  # of two names for one thing, the first
# Authors, title, year and place, as docstrings cite: "Huber, 1964"; "Ba et al., *Title* (2016)".
_NAME = r"[A-ZÉÖ][\w'-]+"
_CITED = re.compile(
    rf"{_NAME}(?:(?:, | & | and ){_NAME})*(?: et al\.)?(?:,? \*[^*]+\*)?,? "
    r"(?:\((?:[A-Z]+ )?(?:18|19|20)\d\d\)|(?:[A-Z]+ )?(?:18|19|20)\d\d)"
    r"(?:, (?:arXiv:[\d.]+\d|eq\. [\d.]*\d|section [\d.]*\d|ch\. \d+|algorithm \d+|§[\d.]*\d))*"
)


def cited(thing: Any) -> list[str]:
    """The papers and textbooks that a docstring names."""
    text = " ".join((inspect.getdoc(thing) or "").split("Examples\n---")[0].split())
    return list(dict.fromkeys(_CITED.findall(text)))


@cache
def owners() -> dict[str, list[str]]:
    """For each op the public names that declare it: functions, then modules and optimizers."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in ops.__all__:
        for op in own_ops(name):
            found[op].append(name)
    users = modules_of()
    named = {}
    for op, names in found.items():
        names.sort(key=lambda name: name != op)  # stable: its own function first
        modules = dict.fromkeys(module for name in names for module in users.get(name, ()))
        named[op] = [*(f"gn.{name}" for name in names), *modules]
    for name, thing in vars(optim).items():
        if name in optim.__all__ and inspect.isclass(thing):
            for op in _own_ops_of_class(thing):
                named.setdefault(op, []).append(f"optim.{name}")
    return named


@cache
def modules_of() -> dict[str, list[str]]:
    """For each public function the modules that call it."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in nn.__all__:
        thing = getattr(nn, name)
        if inspect.isclass(thing) and issubclass(thing, nn.Module):
            called = [function for function in _called_in(thing) if function in ops.__all__]
            # Conv1d and Conv2d share their code, and differ by name.
            same = [c for c in called if c.replace("_", "") == name.lower()]
            for function in same or called:
                found[function].append(f"nn.{name}")
    return found


@cache
def own_ops(name: str) -> tuple[str, ...]:
    """The ops that a public function declares by itself, not by another public function."""
    thing = getattr(gn, name)
    if isinstance(thing, Elementwise):
        return (thing.op.name,)
    made = made_in_example(name)
    own = {v.name for v in _reached(thing) if isinstance(v, Op)}
    if len(made) == 1 or name in made:
        own.add(made[0] if len(made) == 1 else name)
    return tuple(sorted(own))


@cache
def made_in_example(name: str) -> tuple[str, ...]:
    """The ops of the nodes that a public function declares in the example of its docstring."""
    function = getattr(gn, name)
    found: dict[str, None] = {}

    def watched(*values: Any, **options: Any) -> Any:
        first = Constant(0.0).serial
        made = function(*values, **options)
        todo = list(made) if isinstance(made, list | tuple) else [made]
        new: dict[Node, None] = {}
        while todo:
            node = todo.pop()
            if isinstance(node, Node) and node.serial > first and node not in new:
                new[node] = None
                todo += node.inputs
        kept = [node for node in new if not isinstance(node.op.kernel, Leaf)]
        found.update(dict.fromkeys(n.op.name for n in sorted(kept, key=lambda n: n.serial)))
        return made

    test = doctest.DocTestParser().get_doctest(inspect.getdoc(function), {}, name, None, None)
    setattr(gn, name, watched)
    try:
        doctest.DocTestRunner(verbose=False).run(test, out=lambda _text: None)
    finally:
        setattr(gn, name, function)
    return tuple(found)


def _own_ops_of_class(thing: type) -> list[str]:
    """The elementwise ops without a public name that a class's methods call."""
    called = [v for f in _methods(thing) for v in _named_in(f)]
    return sorted(
        {v.op.name for v in called if isinstance(v, Elementwise) and id(v) not in FUNCTIONS}
    )


def _called_in(thing: type) -> list[str]:
    """The public functions that a class's methods call."""
    values = [v for f in _methods(thing) for v in _reached(f)]
    return list(dict.fromkeys(FUNCTIONS[id(v)] for v in values if id(v) in FUNCTIONS))


def _methods(thing: type) -> list[FunctionType]:
    own = [c for c in thing.__mro__ if c not in (nn.Module, *nn.Module.__mro__)]
    return [f for c in own for f in vars(c).values() if isinstance(f, FunctionType)]


def _reached(function: FunctionType) -> Iterator[Any]:
    """Ops and public functions that a function names, or a private function that it calls."""
    todo, seen = [function], {function}
    while todo:
        for value in _named_in(todo.pop()):
            if id(value) in FUNCTIONS:
                yield value
            elif isinstance(value, Op | Elementwise):
                yield value if isinstance(value, Op) else value.op
            elif isinstance(value, FunctionType) and value not in seen:
                seen.add(value)
                if value.__module__.startswith("graphnn.ops."):
                    todo.append(value)


@cache
def _named_in(function: FunctionType) -> tuple[Any, ...]:
    """What the global names in a function's source stand for."""
    function, found = inspect.unwrap(function), []
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        if isinstance(node, ast.Name):
            found.append(function.__globals__.get(node.id))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            room = function.__globals__.get(node.value.id)
            found.append(getattr(room, node.attr, None) if isinstance(room, ModuleType) else None)
    return tuple(inspect.unwrap(value) for value in found if value is not None)
