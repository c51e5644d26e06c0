"""What a call is given that cannot be taken: flags, whole numbers, tuples in place of nodes."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphnn.context import declared_at
from graphnn.errors import GraphError
from graphnn.nest import describe_form, flatten_nest

# What is handed out by modules that have several results.
RETURNS: Mapping[str, str] = {
    "RNN": "output, state",
    "GRU": "output, state",
    "LSTM": "output, (h, c)",
    "LSTMCell": "h, c",
}


@functools.cache
def places_of(function: Callable[..., Any], kind: str) -> dict[str, tuple[int, bool]]:
    """The parameters annotated with a type: their places in a call, and whether None is allowed."""
    own = inspect.unwrap(function)
    names = own.__code__.co_varnames[: own.__code__.co_argcount]
    return {
        name: (names.index(name) if name in names else sys.maxsize, annotation != kind)
        for name, annotation in own.__annotations__.items()
        if annotation in (kind, f"{kind} | None") and name != "return"
    }


def check_twice(
    called: str,
    function: Callable[..., Any],
    args: Sequence[object],
    options: Mapping[str, object],
) -> None:
    """Raise where an argument is given both by its place and by its name.

    Raises
    ------
    TypeError
        Names it, and what the places are for.
    """
    names = list(inspect.signature(function).parameters)
    for name, value in zip(names, args, strict=False):
        if name in options:
            takes = ", ".join(own for own in names if own != "self")
            raise TypeError(
                f"{called} takes {takes}: {name} is given twice, by its name and, in its place, as "
                f"a {type(value).__name__}"
            )


def check_flags(
    called: str, function: Callable[..., Any], args: Sequence[object], options: Mapping[str, object]
) -> None:
    """Raise where what is True or False is given anything else, whose truth nobody asked for.

    Raises
    ------
    GraphError
        Names the flag and the user's line.
    """
    for name, value in _given(function, "bool", args, options):
        if not isinstance(value, bool | np.bool_):
            raise GraphError(
                f"{called}: {name} is True or False; got {value!r}. Declared at {declared_at()}."
            )


def check_whole(name: str, value: object, least: int) -> None:
    """Raise for what is no whole number, or less than it may be.

    Raises
    ------
    GraphError
        Names the argument and the user's line.
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:  # type: ignore[operator]
        raise GraphError(
            f"{name} is a whole number >= {least}; got {value!r}. Declared at {declared_at()}."
        )


def check_nodes(
    called: str, function: Callable[..., Any], args: Sequence[object], options: Mapping[str, object]
) -> None:
    """Raise where a module takes a node and is given a tuple, None, or text.

    Raises
    ------
    GraphError
        Names the argument, and whose results were given together.
    """
    for name, value in _given(function, "Node", args, options):
        if value is None or isinstance(value, tuple | list | dict | str):
            raise no_node(f"{called} takes a node for {name}", value)


def _given(
    function: Callable[..., Any], kind: str, args: Sequence[object], options: Mapping[str, object]
) -> list[tuple[str, object]]:
    """The arguments for parameters of a type, as far as they are given."""
    found = [
        (name, options[name] if name in options else args[place], optional)
        for name, (place, optional) in places_of(function, kind).items()
        if name in options or place < len(args)
    ]
    return [(name, value) for name, value, optional in found if not (optional and value is None)]


def shown(value: object) -> str:
    """What was given, short: nests of nodes by their form."""
    leaves, form = flatten_nest(value)
    if any(hasattr(leaf, "spec") for leaf in leaves):
        return describe_form(form)
    text = " ".join(repr(value).split())
    return f"{text if len(text) < 60 else f'{text[:57]}...'} ({type(value).__name__})"


def no_node(what: str, value: object) -> GraphError:
    """What is raised for something that stands where a node belongs."""
    leaves, _ = flatten_nest(value)
    kind, several = _module_of(value, leaves), any(hasattr(leaf, "spec") for leaf in leaves)
    got = shown(value) + (f", all that nn.{kind} returns: {RETURNS[kind]}" if kind else "")
    fix = " Give one of them, or join them: gn.stack(nodes)." if several else ""
    if kind:
        first = RETURNS[kind].split(",")[0]
        fix = f" Write {first}, _ = {kind.lower()}(x), and give it {first}."
    return GraphError(f"{what}; got {got}. Declared at {declared_at()}.{fix}")


def _module_of(nest: Any, leaves: Sequence[Any]) -> str:
    """The module whose results stand together in a tuple, if it is known for that."""
    layers = {getattr(leaf, "layer", None) for leaf in leaves}
    kind = getattr(layers.pop(), "kind", "") if len(layers) == 1 else ""
    whole = isinstance(nest, tuple) and len(nest) == 2 and kind in RETURNS
    return kind if whole and isinstance(nest[1], tuple) == (kind == "LSTM") else ""
