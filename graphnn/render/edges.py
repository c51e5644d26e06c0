"""Which value flows from which box to which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from graphnn.node import Node
from graphnn.render.folding import Folding, Update
from graphnn.render.model import Edge, EdgeKind
from graphnn.render.subject import Subject
from graphnn.render.text import value_text


def reads(folding: Folding, names: Mapping[Node, str]) -> list[Edge]:
    """What boxes of ops read: forward values, gradients, and forward values that were saved."""
    found: list[Edge] = []
    for last in folding.groups:
        saved: EdgeKind = "saved" if folding.lanes[last] == "backward" else "data"
        for value in folding.inputs(last):
            kind = "gradient" if folding.lanes[value] == "backward" else saved
            found.extend(_edge(folding, names, value, folding.ids[last], kind))
    return merged(found)


def starts(subject: Subject, folding: Folding, read: Iterable[Edge]) -> dict[Node, Node]:
    """Where the reverse pass starts: boxes to which no gradient comes, and their losses."""
    fed = {edge.target for edge in read if edge.kind == "gradient"}
    used = {edge.source for edge in read if edge.kind == "data"}
    found: dict[Node, Node] = {}
    for last in folding.ops("backward"):
        loss = folding.shown_by(subject.forward_of(last))
        if loss is not None and folding.ids[last] not in fed and folding.ids[loss] not in used:
            found[last] = loss
    return found


def turns(folding: Folding, started: Mapping[Node, Node]) -> list[Edge]:
    """Where the lanes turn: from each loss to its gradient."""
    return [
        Edge(
            folding.ids[loss], folding.ids[last], "turn", "the gradient of the loss by itself is 1"
        )
        for last, loss in started.items()
    ]


def update_edges(folding: Folding, names: Mapping[Node, str]) -> list[Edge]:
    """What updates read, and the parameters that they change."""
    found: list[Edge] = []
    for update in folding.updates:
        box = update_id(folding, update)
        for value in update.reads:
            kind: EdgeKind = "gradient" if folding.lanes[value] == "backward" else "saved"
            found.extend(_edge(folding, names, value, box, kind))
        tooltip = f"new value of {value_text(update.parameter, names)}"
        found.append(Edge(box, folding.ids[update.parameter], "update", tooltip))
    return merged(found)


def update_id(folding: Folding, update: Update) -> str:
    """The id of an update's box."""
    return f"{folding.ids[update.parameter]}_update"


def _edge(
    folding: Folding, names: Mapping[Node, str], value: Node, target: str, kind: EdgeKind
) -> Iterator[Edge]:
    shown = folding.shown_by(value)
    if shown is not None and folding.ids[shown] != target:
        yield Edge(folding.ids[shown], target, kind, value_text(value, names))


def merged(edges: Iterable[Edge]) -> list[Edge]:
    """One edge for all values that go from one box to another."""
    found: dict[tuple[str, str], Edge] = {}
    for edge in edges:
        key = edge.source, edge.target
        before = found.get(key)
        found[key] = edge if before is None else _joined(before, edge)
    return list(found.values())


def _joined(before: Edge, edge: Edge) -> Edge:
    return replace(before, tooltip=f"{before.tooltip}, {edge.tooltip}")
