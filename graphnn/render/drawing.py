"""From a graph to the drawing model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from graphnn.node import Node, Parameter
from graphnn.render import text
from graphnn.render.cotangents import cotangents
from graphnn.render.edges import reads, starts, turns, update_edges, update_id
from graphnn.render.folding import SUM, Folding, Update, fold, is_leaf
from graphnn.render.lanes import Lanes, lanes_of
from graphnn.render.model import Box, BoxKind, Drawing, Passes
from graphnn.render.subject import Subject
from graphnn.spec import FLOATS


def drawing_of(subject: Subject, passes: Passes) -> Drawing:
    """What a picture of the graph shows.

    Parameters
    ----------
    subject
        The graph.
    passes
        ``"forward"``, ``"backward"`` (with the forward values that it reads), or ``"joint"``.
    """
    folding, names = fold(subject), subject.graph.names()
    read = reads(folding, names)
    started = starts(subject, folding, read)
    losses = _losses(subject, folding, started)
    lanes = lanes_of(subject, folding, read, losses)
    easel = _Easel(
        subject, folding, lanes, names, cotangents(subject, folding), frozenset(losses), started
    )
    edges = [*read, *turns(folding, started), *update_edges(folding, names)]
    drawing = _shown(Drawing("joint", tuple(easel.boxes()), tuple(edges)), passes)
    drawing.check()
    return drawing


def _losses(subject: Subject, folding: Folding, started: Mapping[Node, Node]) -> list[Node]:
    """Where the reverse pass starts; without one, the first float scalar."""
    if started:
        return list(dict.fromkeys(started.values()))
    scalars = [n for n in subject.results if n.spec.shape == () and n.dtype in FLOATS]
    return [node for node in scalars if node in folding.groups][:1]


@dataclass(frozen=True)
class _Easel:
    """All that is known of a graph when its boxes are made."""

    subject: Subject
    folding: Folding
    lanes: Lanes
    names: Mapping[Node, str]
    cotangents: Mapping[Node, Node]
    losses: frozenset[Node]
    started: Mapping[Node, Node]

    def boxes(self) -> Iterator[Box]:
        """Every box: leaves and ops in the order of declaration, then updates."""
        for node in self.folding.drawn:
            yield self._leaf(node) if is_leaf(node) else self._op(node)
        for update in self.folding.updates:
            yield self._update(update)

    def _leaf(self, node: Node) -> Box:
        kind: BoxKind = "input"
        if isinstance(node, Parameter):
            kind = "parameter" if node.trainable else "state"
        column, row = self.lanes.places[node]
        return Box(
            id=self.folding.ids[node],
            kind=kind,
            lane="forward",
            title=text.clean(node.label or node.op.name),
            lines=(text.shape_of(node),),
            tooltip=text.leaf_tooltip(node, self.names),
            scope=self._scope(node),
            nodes=(self.names[node],),
            column=column,
            row=row,
            aside=node in self.lanes.aside,
        )

    def _op(self, last: Node) -> Box:
        nodes = self.folding.groups[last]
        of = self.subject.forward_of(last)
        value = self.cotangents.get(last)
        parameter = value if isinstance(value, Parameter) else None
        column, row = self.lanes.places[last]
        return Box(
            id=self.folding.ids[last],
            kind=self._kind(last),
            lane=self.folding.lanes[last],
            title=text.op_title(nodes, of),
            lines=tuple(map(text.clean, self._lines(last))),
            tooltip=text.tooltip(nodes, self.names, self.folding),
            scope=self._scope(last),
            nodes=tuple(self.names[node] for node in nodes),
            column=column,
            row=row,
            home=None if parameter is None else self.folding.ids.get(parameter),
        )

    def _kind(self, last: Node) -> BoxKind:
        if last.op.name == SUM:
            return "sum"
        return "loss" if last in self.losses else "op"

    def _lines(self, last: Node) -> list[str]:
        """The name - of a gradient, what it is by - then what the op's text says."""
        value = self.cotangents.get(last)
        name = [last.label] if last.label else []
        if value is not None and value.label:
            name = [f"∂{value.label}"]
        if last in self.started:
            loss = self.started[last].label or "loss"
            name.insert(0, f"∂{loss}/∂{loss} = 1")
        return [*name, *text.op_lines(self.folding.groups[last], self.folding.texts)]

    def _update(self, update: Update) -> Box:
        parameter = update.parameter
        column, row = self.lanes.places[parameter]
        return Box(
            id=update_id(self.folding, update),
            kind="update",
            lane="update",
            title=text.clean(text.update_title(update)),
            lines=tuple(map(text.clean, text.update_lines(update))),
            tooltip=text.tooltip(update.nodes or (update.new,), self.names, self.folding),
            scope=self._scope(parameter),
            nodes=tuple(self.names[node] for node in (*update.nodes, *update.state)),
            column=column,
            row=row,
            home=self.folding.ids[parameter],
        )

    def _scope(self, node: Node) -> tuple[str, ...]:
        """The layers around a node; a parameter without any is in the layer that reads it."""
        home = self.lanes.homes.get(node)
        if not node.scope and isinstance(node, Parameter) and home is not None:
            node = home
        return tuple(node.scope.split(".")) if node.scope else ()


# Which part of the whole a picture shows.


def _shown(whole: Drawing, passes: Passes) -> Drawing:
    if passes == "joint":
        return whole
    kept = _in_forward(whole) if passes == "forward" else _in_backward(whole)
    boxes = [box for box in whole.boxes if box.id in kept]
    edges = [edge for edge in whole.edges if {edge.source, edge.target} <= kept]
    if passes == "backward":
        boxes = [_as_saved(box) for box in boxes]
        edges = [edge for edge in edges if edge.kind != "data"]
    return Drawing(passes, tuple(boxes), tuple(edges))


def _in_forward(whole: Drawing) -> set[str]:
    read = {edge.source for edge in whole.edges if edge.kind == "data"}
    return {
        box.id
        for box in whole.boxes
        if box.lane == "forward" and (box.id in read or box.kind not in ("parameter", "state"))
    }


def _in_backward(whole: Drawing) -> set[str]:
    crossing = [edge for edge in whole.edges if edge.kind not in ("data", "gradient")]
    ends = {end for edge in crossing for end in (edge.source, edge.target)}
    return ends | {box.id for box in whole.boxes if box.lane != "forward"}


def _as_saved(box: Box) -> Box:
    """A forward value, of which the reverse pass only needs to know what it is."""
    if box.lane != "forward" or box.kind in ("parameter", "state"):
        return box
    return replace(box, kind="saved", lines=box.lines if box.kind == "loss" else box.lines[-1:])
