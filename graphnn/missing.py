"""What is said of names that graphnn's packages and nodes do not have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.util import find_spec

from graphnn.hints import ALIASES, ATTRIBUTES, COMPOSED, ELSEWHERE, closest


def missing_name(module: str, name: str, known: Mapping[str, str]) -> AttributeError:
    """What a package raises for a name that it does not have.

    Parameters
    ----------
    module
        The package's name.
    name
        What was asked for.
    known
        What there is, and how its users write it: ``{"Linear": "nn.Linear"}``.
    """
    hint = ""
    if not name.startswith("_"):
        found = closest(name, known)
        if name in ELSEWHERE:
            hint = f" {ELSEWHERE[name].format(name)}."
        elif _is_module(module, name):
            hint = f" Import it first: import {module}.{name}"
        elif found is not None:
            hint = f" Did you mean {known[found]}?"
    return AttributeError(f"module {module!r} has no attribute {name!r}.{hint}")


def _is_module(package: str, name: str) -> bool:
    try:
        return find_spec(f"{package}.{name}") is not None
    except ModuleNotFoundError:  # what was asked is a module itself, and holds none
        return False


def attribute_hint(name: str, functions: Iterable[str]) -> str:
    """What to write in place of an attribute that nodes do not have; empty where nobody knows."""
    names = COMPOSED.union(functions)
    if name in ATTRIBUTES:
        return ATTRIBUTES[name]
    found = name if name in names else ALIASES.get(name)
    return f"gn.{found}(x)" if found in names else ""
