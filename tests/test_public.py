"""What is public: each room of ops says it, and ``gn`` has all of it."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import graphnn as gn
from graphnn import ops
from graphnn.op import is_own, registry
from graphnn.operators import operators
from graphnn.ops.declare.elementwise import Elementwise

HOUSE = Path(gn.__file__).parent
ROOMS = {
    f"graphnn.ops.{path.parent.name}.{path.stem}": path
    for path in sorted((HOUSE / "ops").glob("*/*.py"))
    if path.stem != "__init__" and path.parent.name != "declare"
}


for _room in ROOMS:
    importlib.import_module(_room)


def gathered() -> list[str]:
    """The rooms that ops/__init__.py names."""
    tree = ast.parse((HOUSE / "ops/__init__.py").read_text(encoding="utf-8"))
    froms = [n for n in tree.body if isinstance(n, ast.ImportFrom) and n.names[0].name == "*"]
    return [str(n.module) for n in froms]


def test_the_public_names_are_complete_sorted_and_there_once():
    tree = ast.parse((HOUSE / "__init__.py").read_text(encoding="utf-8"))
    own = [
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    ]
    assert gn.__all__ == sorted(set(gn.__all__))
    assert sorted(own + ops.__all__) == gn.__all__
    assert all(hasattr(gn, name) for name in gn.__all__)


def test_every_room_of_ops_is_gathered_and_says_what_is_public():
    found = [room for room in ROOMS if hasattr(importlib.import_module(room), "__all__")]
    assert sorted(gathered()) == found
    public = [name for room in found for name in importlib.import_module(room).__all__]
    assert sorted(public) == ops.__all__  # no name is in two rooms


def test_no_op_is_declared_where_nothing_is_gathered():
    rooms = set(gathered())
    for op in registry.values():
        body = getattr(op.kernel, "body", None)
        module = (body.function if body is not None else op.spec).__module__
        if is_own(op) and module in ROOMS:
            assert module in rooms, f"{op.name} is declared in {module}: name it in ops/__init__.py"


def declares_nodes(thing: object) -> bool:
    """Whether it is called to declare nodes; what an operator means is public as the operator."""
    if inspect.isfunction(thing):
        return thing.__annotations__.get("return") == "Node" and thing not in operators.values()
    return isinstance(thing, Elementwise)


@pytest.mark.parametrize("room", gathered())
def test_what_declares_nodes_and_has_an_example_is_public(room):
    module = importlib.import_module(room)
    for name in module.__all__:
        assert getattr(gn, name) is vars(module)[name]
    for name, thing in vars(module).items():
        body = thing.body.function if isinstance(thing, Elementwise) else thing
        here = getattr(body, "__module__", None) == room and declares_nodes(thing)
        if here and name[0] != "_" and ">>> " in (inspect.getdoc(thing) or ""):
            assert name in module.__all__, f"add it to __all__ of {room}"


def test_no_public_name_hides_a_folder_of_ops():
    folders = {path.parent.name for path in (HOUSE / "ops").glob("*/__init__.py")}
    assert not folders & set(ops.__all__)
