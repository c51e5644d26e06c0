"""Where in the mirrored lanes each box belongs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from graphnn.node import Input, Node
from graphnn.render.folding import Folding
from graphnn.render.grid import Place, places
from graphnn.render.model import Edge
from graphnn.render.subject import Subject


@dataclass(frozen=True)
class Lanes:
    """The place of every box that a node names.

    Parameters
    ----------
    places
        Column and row.
    homes
        For inputs and parameters beside the road: the leftmost forward op that reads them.
    aside
        Inputs and parameters beside the road.
    """

    places: Mapping[Node, Place]
    homes: Mapping[Node, Node]
    aside: frozenset[Node]


def lanes_of(
    subject: Subject, folding: Folding, read: Sequence[Edge], losses: Sequence[Node]
) -> Lanes:
    """Give every box its column and row."""
    nodes = {box: node for node, box in folding.ids.items()}
    known = {nodes[box]: place for box, place in _forward(subject, folding, read, losses).items()}
    aside = frozenset(leaf for leaf in folding.leaves if leaf not in known)
    homes = _homes(folding, read, nodes, known)
    for leaf in folding.leaves:
        if leaf in aside:
            known[leaf] = known[homes[leaf]] if leaf in homes else (0, 0)
    last_column = max((column for column, _ in known.values()), default=0)
    for last in folding.ops("backward"):
        above = folding.shown_by(subject.forward_of(last))
        place = None if above is None else known.get(above)
        known[last] = place or (_column_by_inputs(folding, last, known, last_column), 0)
    return Lanes(known, homes, aside)


def _forward(
    subject: Subject, folding: Folding, read: Iterable[Edge], losses: Sequence[Node]
) -> dict[str, Place]:
    """Places of forward ops, and of the input at which the main road starts."""
    lane = folding.ops("forward")
    sources = [node for node in folding.leaves if isinstance(node, Input)]
    ends = [*losses, *(node for node in subject.results if node in lane), *lane[-1:]]
    if not ends:
        return {folding.ids[node]: (i, 0) for i, node in enumerate(sources)}
    order = [folding.ids[node] for node in folding.drawn if node in {*sources, *lane}]
    inputs: dict[str, list[str]] = {box: [] for box in order}
    for edge in read:
        if edge.kind == "data" and edge.source in inputs:
            inputs[edge.target].append(edge.source)
    return places(order, inputs, {folding.ids[node] for node in sources}, folding.ids[ends[0]])


def _homes(
    folding: Folding,
    read: Iterable[Edge],
    nodes: Mapping[str, Node],
    known: Mapping[Node, Place],
) -> dict[Node, Node]:
    readers: dict[Node, list[Node]] = {}
    for edge in read:
        if edge.kind == "data":
            readers.setdefault(nodes[edge.source], []).append(nodes[edge.target])
    return {
        leaf: min(readers[leaf], key=lambda node: known[node][0])
        for leaf in folding.leaves
        if leaf in readers and leaf not in known
    }


def _column_by_inputs(
    folding: Folding, last: Node, known: Mapping[Node, Place], default: int
) -> int:
    """Where no forward node says it: the leftmost column from which the box reads."""
    shown = [folding.shown_by(value) for value in folding.inputs(last)]
    return min(
        (known[node][0] for node in shown if node is not None and node in known), default=default
    )
