"""What happens when Python, NumPy, copy or pickle treat a node as if it had a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, cast

import numpy as np

from graphnn.errors import GraphError
from graphnn.hints import OF_PARAMETER
from graphnn.missing import attribute_hint
from graphnn.op import is_own, registry

if TYPE_CHECKING:
    from graphnn.node import Node

# NumPy's names of ops that graphnn calls otherwise.
_UFUNCS = {
    "absolute": "abs",
    "fabs": "abs",
    "true_divide": "divide",
    "bitwise_and": "logical_and",  # of conditions the same; of whole numbers refused
    "bitwise_or": "logical_or",
    "bitwise_xor": "logical_xor",
    "invert": "logical_not",
    "rint": "round",
}


class Foreign:
    """The part of a node that meets other packages: it maps to ops, or says what to write."""

    __slots__ = ()

    # Equality is identity: nodes are keys of dicts and members of sets.

    def __eq__(self, other: object) -> bool:
        if is_valued(other) or isinstance(other, list | tuple):
            raise _refused(
                self,
                f"== compares nodes by identity; got {_shown(other)}",
                "Write gn.equal(a, b) to compare values",
            )
        return self is other

    def __ne__(self, other: object) -> bool:
        if is_valued(other) or isinstance(other, list | tuple):
            raise _refused(
                self,
                f"!= compares nodes by identity; got {_shown(other)}",
                "Write gn.not_equal(a, b) to compare values",
            )
        return self is not other

    __hash__ = object.__hash__

    # A node has no value while the graph is declared.

    def __bool__(self) -> bool:
        raise _no_value(
            self, "so it has no truth value", "Choose between values with gn.where(condition, a, b)"
        )

    def __len__(self) -> int:
        raise _no_value(
            self, "so len() cannot count it", "x.shape is known; its batch axis is None"
        )

    def __float__(self) -> float:
        raise _no_value(self, "so it is no number", _compute(self))

    def __int__(self) -> int:
        raise _no_value(self, "so it is no number", _compute(self))

    def __complex__(self) -> complex:
        raise _no_value(self, "so it is no number", _compute(self))

    def __index__(self) -> int:
        raise _no_value(self, "so it is no number", _compute(self))

    def __format__(self, how: str) -> str:
        if how:
            raise _no_value(self, f"so it has no format {how!r}", _compute(self))
        return str(self)

    def __array__(self, *_args: Any, **_options: Any) -> NoReturn:
        raise _no_value(self, "so it is no array", _compute(self))

    def __iter__(self) -> NoReturn:
        own = cast("Node", self)
        raise GraphError(
            f"{own.name} is a node and cannot be iterated. Declared at {own.origin}. Its shape is "
            f"known: {own.shape}."
        )

    def __setitem__(self, _key: object, _value: object) -> NoReturn:
        raise _refused(
            self,
            "nodes are immutable, x[...] = y sets nothing",
            "Choose with gn.where(condition, y, x), or join parts with gn.concat",
        )

    # NumPy's functions.

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Node:
        name = _UFUNCS.get(ufunc.__name__, ufunc.__name__)
        if method == "__call__" and name in ("equal", "not_equal") and not options:
            # array == node arrives here too, and node == array is refused.
            raise _refused(
                self,
                f"np.{name}, == and != do not compare a node's values",
                f"Write gn.{name}(a, b)",
            )
        op = registry.get(name)
        if method != "__call__" or options or op is None or not is_own(op):
            plain = method == "__call__"
            called = ufunc.__name__ if plain else f"{ufunc.__name__}.{method}"
            raise _numpy_refused(self, called, f"gn.{name}" if op is not None else "")
        return cast("Node", self)._called(name, *inputs)

    def __array_function__(self, function: Any, _types: Any, _args: Any, _options: Any) -> NoReturn:
        raise _numpy_refused(self, function.__name__, "")

    # Copies.

    def __reduce_ex__(self, _protocol: Any) -> Any:
        raise _refused(
            self,
            "a node cannot be copied or pickled: a graph is declared by its code",
            "Declare it again, and keep its weights with model.save(path) or net.state_dict()",
        )

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            own = OF_PARAMETER.get(name) if hasattr(type(self), "value") else None
            hint = "" if name.startswith("_") else own or attribute_hint(name, registry)
            said = f": {hint}" if hint else ""
            raise AttributeError(f"a node has no attribute {name!r}{said}")


def _compute(node: Foreign) -> str:
    """How to get the value: of arrays and parameters alone without any input."""
    seen: set[Foreign] = set()
    stack = [node]
    while stack:
        own = cast("Node", stack.pop())
        if own.op.name == "input":
            return "Compute it: gn.function(inputs, x)(arrays)"
        if own not in seen:
            seen.add(own)
            stack.extend(own.inputs)
    return "Compute it: gn.function([], x)()"


def is_valued(thing: object) -> bool:
    """Whether something is a number or an array, of whatever package; nodes are not."""
    if isinstance(thing, Foreign):
        return False
    return isinstance(thing, bool | int | float | complex) or hasattr(thing, "__array__")


def _shown(thing: object) -> str:
    shape = getattr(thing, "shape", None)
    return f"{type(thing).__name__} of shape {shape}" if shape else repr(thing)


def _refused(node: Foreign, what: str, fix: str) -> GraphError:
    own = cast("Node", node)
    return GraphError(f"{own.name}: {what}. Declared at {own.origin}. {fix}.")


def _no_value(node: Foreign, so: str, fix: str) -> GraphError:
    own = cast("Node", node)
    return GraphError(
        f"{own.name} has no value while the graph is declared, {so}. Declared at {own.origin}. "
        f"{fix}."
    )


def _numpy_refused(node: Foreign, called: str, known: str) -> TypeError:
    own = cast("Node", node)
    hint = "gn.sum" if called == "add.reduce" else known
    if not hint:
        found = attribute_hint(called, registry)
        hint = found.split("(")[0] if found.startswith("gn.") else ""
    return TypeError(
        f"np.{called} takes no nodes in this way; got {own.name}, declared at {own.origin}. "
        f"{f'Write {hint}.' if hint else 'Write it with functions of graphnn: dir(gn).'}"
    )
