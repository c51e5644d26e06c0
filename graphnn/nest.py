"""Nests: nodes in tuples, lists and dicts, as the states of a loop are handed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Form = Any


def flatten_nest(nest: Any) -> tuple[list[Any], Form]:
    """The leaves of a nest in their order, and its form; None has no leaves.

    Examples
    --------
    >>> flatten_nest({"h": 1, "c": (2, None)})
    ([1, 2], ('dict', (('h', 'leaf'), ('c', ('tuple', ('leaf', None))))))
    """
    if nest is None:
        return [], None
    if isinstance(nest, Mapping):
        found = [(key, *flatten_nest(value)) for key, value in nest.items()]
        return (
            [leaf for _, leaves, _ in found for leaf in leaves],
            ("dict", tuple((key, form) for key, _, form in found)),
        )
    if isinstance(nest, tuple | list):
        pairs = [flatten_nest(value) for value in nest]
        kind = "tuple" if isinstance(nest, tuple) else "list"
        return [leaf for leaves, _ in pairs for leaf in leaves], (kind, tuple(f for _, f in pairs))
    return [nest], "leaf"


def describe_form(form: Form) -> str:
    """A form in a user's words.

    Examples
    --------
    >>> describe_form(("dict", (("h", "leaf"), ("c", ("tuple", ("leaf", None))))))
    "{'h': node, 'c': (node, None)}"
    """
    if form is None or form == "leaf":
        return "None" if form is None else "node"
    kind, inside = form
    if kind == "dict":
        return "{" + ", ".join(f"{key!r}: {describe_form(part)}" for key, part in inside) + "}"
    text = ", ".join(map(describe_form, inside))
    return f"[{text}]" if kind == "list" else f"({text}{',' * (len(inside) == 1)})"


def rebuild_nest(form: Form, leaves: Sequence[Any]) -> Any:
    """The nest of a form with other leaves.

    Examples
    --------
    >>> rebuild_nest(("tuple", ("leaf", None)), [7])
    (7, None)
    """
    left = list(leaves)
    made = _filled(form, left)
    assert not left, "more leaves than the form has places"
    return made


def _filled(form: Form, left: list[Any]) -> Any:
    if form is None:
        return None
    if form == "leaf":
        return left.pop(0)
    kind, inside = form
    if kind == "dict":
        return {key: _filled(part, left) for key, part in inside}
    made = [_filled(part, left) for part in inside]
    return tuple(made) if kind == "tuple" else made
