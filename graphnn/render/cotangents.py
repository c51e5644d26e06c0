"""By which value each box of the reverse pass holds the gradient of the loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from graphnn.node import Node
from graphnn.render.folding import SUM, Folding, is_leaf
from graphnn.render.subject import Subject


def cotangents(subject: Subject, folding: Folding) -> dict[Node, Node]:
    """The value ``v`` of each box that holds ``∂loss/∂v``, as far as shapes and readers tell.

    A node knows whose reverse pass it serves, but not which input's gradient it is. An input of
    another shape can't be it; of several, it is the one that the reader of the gradient belongs to.
    """
    readers = _readers(folding)
    updated = {value: u.parameter for u in folding.updates for value in u.reads}
    found: dict[Node, Node] = {}
    for last in folding.ops("backward"):
        of = subject.forward_of(last)
        if of is None or last.forward_of is None or last.forward_of.role == "backward":
            continue  # of a gradient's gradient no name is short
        value = of if last.op.name == SUM else _input(subject, last, of, readers[last], updated)
        if value is not None:
            found[last] = value
    return found


def _readers(folding: Folding) -> dict[Node, list[Node]]:
    readers: dict[Node, list[Node]] = {last: [] for last in folding.groups}
    for last in folding.groups:
        for value in folding.inputs(last):
            if value in readers:
                readers[value].append(last)
    return readers


def _input(
    subject: Subject,
    last: Node,
    of: Node,
    readers: Sequence[Node],
    updated: Mapping[Node, Node],
) -> Node | None:
    alike = [value for value in dict.fromkeys(of.inputs) if value.spec == last.spec]
    if any(subject.forward_of(r) is of and r.op.name != SUM for r in readers):
        return None  # only a step on the way
    if updated.get(last) in alike:
        return updated[last]
    return alike[0] if len(alike) == 1 else _by_reader(subject, alike, readers)


def _by_reader(subject: Subject, alike: Iterable[Node], readers: Iterable[Node]) -> Node | None:
    """Among inputs of one shape: the one whose own reverse pass reads on; a leaf if none does."""
    served = {subject.forward_of(reader) for reader in readers}
    hits = [value for value in alike if (value in served if served else is_leaf(value))]
    return hits[0] if len(hits) == 1 else None
