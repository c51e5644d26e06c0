"""Which node holds the gradient of which value, noted while a reverse pass is declared.

A rewrite replaces nodes, but a new node keeps the very ``origin`` object of the one that it stands
for, and no other declared node has it: by that object a note is found again.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from functools import partial

from graphnn.context import SourceLine
from graphnn.node import Node


@dataclass(frozen=True)
class Pair:
    """A value, and what a node of the reverse pass has to do with it.

    Parameters
    ----------
    value
        The value whose gradient it is.
    whole
        Whether it is the whole gradient, or one of the contributions that are added up.
    of
        What is differentiated: the losses.
    """

    value: Node
    whole: bool
    of: tuple[Node, ...]


_Notes = tuple["weakref.ref[SourceLine]", dict[Node, Pair]]
_notes: dict[int, _Notes] = {}  # by the identity of the origin, which is watched


def _forget(notes: dict[int, _Notes], key: int, _gone: object) -> None:
    notes.pop(key, None)


def note(node: Node, value: Node, of: tuple[Node, ...], *, whole: bool = True) -> None:
    """Note that ``node`` holds the gradient of ``value``, or a part of it."""
    if node.role != "backward":
        return  # a cotangent that the user gave
    key = id(node.origin)
    if key not in _notes:
        # All that it needs is its own: as Python ends, globals are gone before origins.
        forget = partial(_forget, _notes, key)
        gone = weakref.ref(node.origin, forget)
        _notes[key] = gone, {}
    _notes[key][1][value] = Pair(value, whole, of)


def pairs_of(node: Node) -> tuple[Pair, ...]:
    """What was noted of a node, or of the declared one that it has replaced.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Input((2,), name="x")
    >>> loss = gn.sum(gn.exp(x))
    >>> [pair.value.name for pair in pairs_of(gn.grad(loss, x))]
    ['x']
    """
    found = _notes.get(id(node.origin))
    return () if found is None else tuple(found[1].values())
