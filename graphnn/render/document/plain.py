"""Records to plain data and back: what has its default value is left out."""

from __future__ import annotations

import math
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from types import NoneType
from typing import Any, Union, get_args, get_origin, get_type_hints

from graphnn.errors import GraphError

_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def to_plain(value: Any) -> Any:
    """Dicts, lists, text and numbers; JSON has no infinities, so that they become text."""
    if is_dataclass(value):
        found = {}
        for one in fields(value):
            held = getattr(value, one.name)
            if not _is_default(one, held):
                found[one.name.rstrip("_")] = to_plain(held)
        return found
    if isinstance(value, dict):
        return {key: to_plain(held) for key, held in value.items()}
    if isinstance(value, tuple):
        return [to_plain(held) for held in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _is_default(one: Field[Any], held: Any) -> bool:
    if one.name in ("format", "version"):
        return False
    if one.default is not MISSING:
        return bool(held == one.default)
    return one.default_factory is not MISSING and not held


def from_plain(kind: Any, value: Any) -> Any:
    """The record of a kind that :func:`to_plain` has made ``value`` of.

    Raises
    ------
    GraphError
        If a field is unknown, or one that has to be there is missing.
    """
    origin, inside = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _record(kind, value)
    if origin is tuple:
        return tuple(from_plain(inside[0], held) for held in value)
    if origin is dict:
        return {key: from_plain(inside[1], held) for key, held in value.items()}
    if origin is Union or NoneType in inside:
        (kept,) = [one for one in inside if one is not NoneType][:1]
        return None if value is None else from_plain(kept, value)
    if kind is float:
        return _NUMBERS[value] if isinstance(value, str) else float(value)
    return value


def _record(kind: Any, value: Any) -> Any:
    hints = _hints(kind)
    unknown = set(value) - set(hints)
    if unknown:
        raise GraphError(f"a {kind.__name__} of a document has no {sorted(unknown)[0]!r}")
    found = {hints[key][0]: from_plain(hints[key][1], held) for key, held in value.items()}
    try:
        return kind(**found)
    except TypeError as error:
        raise GraphError(f"a {kind.__name__} of a document: {error}") from None


@cache
def _hints(kind: Any) -> dict[str, tuple[str, Any]]:
    return {name.rstrip("_"): (name, hint) for name, hint in get_type_hints(kind).items()}
