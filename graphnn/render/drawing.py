"""From a graph to the drawing model: boxes, edges, and where in the lanes each box belongs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from graphnn.graph import Input, Node, Parameter
from graphnn.render import text
from graphnn.render.folding import SUM, Folding, Update, fold, is_leaf
from graphnn.render.grid import Place, places
from graphnn.render.model import Box, BoxKind, Drawing, Edge, EdgeKind, Passes
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
    builder = _Builder(subject, fold(subject))
    whole = Drawing("joint", tuple(builder.boxes()), tuple(builder.edges))
    drawing = _shown(whole, passes)
    drawing.check()
    return drawing


@dataclass(frozen=True)
class _Builder:
    """The walks over one folded graph that make its boxes and edges."""

    subject: Subject
    folding: Folding

    @cached_property
    def names(self) -> dict[Node, str]:
        return self.subject.graph.names()

    @cached_property
    def drawn(self) -> tuple[Node, ...]:
        """The node that names each box, in the order of declaration."""
        both = {*self.folding.leaves, *self.folding.groups}
        return tuple(node for node in self.subject.graph.nodes if node in both)

    @cached_property
    def ids(self) -> dict[Node, str]:
        return {node: f"box{i}" for i, node in enumerate(self.drawn)}

    def update_id(self, update: Update) -> str:
        return f"{self.ids[update.parameter]}_update"

    def box_of(self, node: Node | None) -> str | None:
        """The box that shows a node's value."""
        if node is None:
            return None
        return self.ids.get(self.folding.owner.get(node, node))

    def lane_boxes(self, lane: str) -> list[Node]:
        """The boxes of ops in a lane."""
        return [node for node in self.folding.groups if self.folding.lanes[node] == lane]

    # Edges.

    @cached_property
    def edges(self) -> list[Edge]:
        found = [*self._reads(), *self._turns(), *self._updates()]
        merged: dict[tuple[str, str], Edge] = {}
        for edge in found:
            key = (edge.source, edge.target)
            before = merged.get(key)
            if before is None:
                merged[key] = edge
            elif edge.tooltip not in before.tooltip.split(", "):
                merged[key] = replace(before, tooltip=f"{before.tooltip}, {edge.tooltip}")
        return list(merged.values())

    def _edge(self, value: Node, target: str, kind: EdgeKind) -> Iterator[Edge]:
        source = self.box_of(value)
        if source is not None and source != target:
            name = text.clean(self.names[value], text.LONGEST_TOOLTIP)
            yield Edge(source, target, kind, f"{name} {text.shape_of(value)}")

    def _reads(self) -> Iterator[Edge]:
        lanes = self.folding.lanes
        for last, nodes in self.folding.groups.items():
            for value in dict.fromkeys(value for node in nodes for value in node.inputs):
                crossing = "saved" if lanes[last] == "backward" else "data"
                kind: EdgeKind = "gradient" if lanes[value] == "backward" else crossing
                yield from self._edge(value, self.ids[last], kind)

    def _turns(self) -> Iterator[Edge]:
        for last, of in self.starts.items():
            loss = self.ids[of]
            yield Edge(loss, self.ids[last], "turn", "the gradient of the loss by itself is 1")

    def _updates(self) -> Iterator[Edge]:
        for update in self.folding.updates:
            box = self.update_id(update)
            for value in update.reads:
                backward = self.folding.lanes[value] == "backward"
                yield from self._edge(value, box, "gradient" if backward else "saved")
            name = text.clean(self.names[update.parameter], text.LONGEST_TOOLTIP)
            yield Edge(box, self.ids[update.parameter], "update", f"new value of {name}")

    @cached_property
    def starts(self) -> dict[Node, Node]:
        """Reverse boxes to which no gradient comes, with the loss under which they stand."""
        fed = {edge.target for edge in self._reads() if edge.kind == "gradient"}
        read = {edge.source for edge in self._reads() if edge.kind == "data"}
        found: dict[Node, Node] = {}
        for last in self.lane_boxes("backward"):
            of = self.subject.forward_of(last)
            loss = None if of is None else self.folding.owner.get(of)
            if loss is not None and self.ids[last] not in fed and self.ids[loss] not in read:
                found[last] = loss
        return found

    # Places.

    @cached_property
    def losses(self) -> list[Node]:
        """Where the reverse pass starts; without one, the first float scalar."""
        if self.starts:
            return list(dict.fromkeys(self.starts.values()))
        forward = set(self.lane_boxes("forward"))
        scalars = [n for n in self.subject.results if n.spec.shape == () and n.dtype in FLOATS]
        return [node for node in scalars if node in forward][:1]

    @cached_property
    def forward_places(self) -> dict[str, Place]:
        """Places of forward ops, and of the input at which the main road starts."""
        lane = self.lane_boxes("forward")
        sources = [node for node in self.folding.leaves if isinstance(node, Input)]
        if not lane:
            return {}
        inputs: dict[str, list[str]] = {self.ids[node]: [] for node in (*sources, *lane)}
        shown = {self.ids[node] for node in (*sources, *lane)}
        for edge in self._reads():
            if edge.kind == "data" and edge.source in shown:
                inputs[edge.target].append(edge.source)
        order = [self.ids[node] for node in self.drawn if self.ids[node] in shown]
        ends = [*self.losses, *(node for node in self.subject.results if node in lane), lane[-1]]
        return places(order, inputs, {self.ids[node] for node in sources}, self.ids[ends[0]])

    @cached_property
    def last_column(self) -> int:
        return max((column for column, _ in self.forward_places.values()), default=0)

    @cached_property
    def homes(self) -> dict[Node, str]:
        """For leaves beside the road the leftmost box that reads them."""
        readers: dict[str, list[str]] = {}
        for edge in self._reads():
            readers.setdefault(edge.source, []).append(edge.target)
        found: dict[Node, str] = {}
        for leaf in self.folding.leaves:
            box = self.ids[leaf]
            near = [b for b in readers.get(box, ()) if b in self.forward_places]
            if near and box not in self.forward_places:
                found[leaf] = min(near, key=lambda b: self.forward_places[b][0])
        return found

    @cached_property
    def place(self) -> dict[Node, Place]:
        """The place of every box that a node names."""
        known = {n: self.forward_places[i] for n, i in self.ids.items() if i in self.forward_places}
        for leaf in self.folding.leaves:
            home = self.homes.get(leaf)
            if leaf not in known:
                known[leaf] = (self.forward_places[home][0] if home else 0, 0)
        for last in self.lane_boxes("backward"):
            of = self.subject.forward_of(last)
            shown = None if of is None else self.folding.owner.get(of, of)
            found = None if shown is None else known.get(shown)
            known[last] = found or self._beside(last, known)
        return known

    def _beside(self, last: Node, known: Mapping[Node, Place]) -> Place:
        """Without a forward node: left of what it reads."""
        owner = self.folding.owner
        read = [owner.get(v, v) for node in self.folding.groups[last] for v in node.inputs]
        columns = [known[value][0] for value in read if value in known]
        return min(columns, default=self.last_column), 0

    # Boxes.

    def boxes(self) -> Iterator[Box]:
        for node in self.drawn:
            yield self._leaf(node) if is_leaf(node) else self._op(node)
        for update in self.folding.updates:
            yield self._update(update)

    def _leaf(self, node: Node) -> Box:
        kind: BoxKind = "input"
        if isinstance(node, Parameter):
            kind = "parameter" if node.trainable else "state"
        return Box(
            id=self.ids[node],
            kind=kind,
            lane="forward",
            title=text.clean(node.label or node.op.name),
            lines=(text.shape_of(node),),
            tooltip=(f"{self.names[node]}: {kind} {node.spec}", f"declared at {node.origin}"),
            scope=self._scope(node),
            nodes=(self.names[node],),
            column=self.place[node][0],
            row=self.place[node][1],
            aside=self.ids[node] not in self.forward_places,
        )

    def _scope(self, node: Node) -> tuple[str, ...]:
        """The layers around a node; a parameter without any is in the layer that reads it."""
        if not node.scope and isinstance(node, Parameter) and node in self.homes:
            reader = next(n for n, box in self.ids.items() if box == self.homes[node])
            return self._scope(reader)
        return tuple(node.scope.split(".")) if node.scope else ()

    def _op(self, last: Node) -> Box:
        nodes = self.folding.groups[last]
        parameter = self._parameter_of_gradient(last)
        return Box(
            id=self.ids[last],
            kind=self._kind(last),
            lane="backward" if self.folding.lanes[last] == "backward" else "forward",
            title=self._title(last),
            lines=tuple(map(text.clean, self._lines(last))),
            tooltip=text.tooltip(nodes, self.names, self.folding),
            scope=self._scope(last),
            nodes=tuple(self.names[node] for node in nodes),
            column=self.place[last][0],
            row=self.place[last][1],
            home=None if parameter is None else self.ids[parameter],
        )

    def _kind(self, last: Node) -> BoxKind:
        if last.op.name == SUM:
            return "sum"
        return "loss" if last in self.losses else "op"

    def _title(self, last: Node) -> str:
        of = self.subject.forward_of(last)
        if len(self.folding.groups[last]) == 1 or of is None:
            return text.clean(last.op.name)
        return text.clean(f"∂ {of.op.name}")

    def _lines(self, last: Node) -> list[str]:
        """The name - of a gradient, what it is by - then what the op's text says."""
        value = self.cotangent_of.get(last)
        named = last.label if value is None else value.label
        name = [f"∂{named}" if value is not None else named] if named else []
        return [*name, *text.op_lines(self.folding.groups[last], self.folding.texts)]

    def _update(self, update: Update) -> Box:
        parameter = update.parameter
        nodes = update.nodes or (update.new,)
        return Box(
            id=self.update_id(update),
            kind="update",
            lane="update",
            title=text.clean(text.update_title(update)),
            lines=tuple(map(text.clean, text.update_lines(update))),
            tooltip=text.tooltip(nodes, self.names, self.folding),
            scope=self._scope(parameter),
            nodes=tuple(self.names[node] for node in (*update.nodes, *update.state)),
            column=self.place[parameter][0],
            home=self.ids[parameter],
        )

    # Whose gradient a reverse node is.

    def _parameter_of_gradient(self, last: Node) -> Node | None:
        value = self.cotangent_of.get(last)
        return value if isinstance(value, Parameter) and value in self.ids else None

    @cached_property
    def cotangent_of(self) -> dict[Node, Node]:
        """The value by which each reverse box holds the gradient, where that can be told."""
        readers: dict[Node, list[Node]] = {}
        for last, nodes in self.folding.groups.items():
            for value in {value for node in nodes for value in node.inputs}:
                readers.setdefault(value, []).append(last)
        updated = {v: u.parameter for u in self.folding.updates for v in u.reads}
        found: dict[Node, Node] = {}
        for last in self.lane_boxes("backward"):
            of = self.subject.forward_of(last)
            if of is None:
                continue
            alike = [v for v in dict.fromkeys(of.inputs) if v.spec == last.spec]
            if last.op.name == SUM:
                found[last] = of
            elif updated.get(last) in alike:
                found[last] = updated[last]
            elif len(alike) == 1:
                found[last] = alike[0]
            else:
                found.update(self._by_reader(last, alike, readers.get(last, [])))
        return found

    def _by_reader(
        self, last: Node, alike: Sequence[Node], readers: Iterable[Node]
    ) -> dict[Node, Node]:
        """Among inputs of one shape: the one whose own reverse node reads it; a leaf if none does."""
        served = {self.subject.forward_of(reader) for reader in readers}
        hits = [v for v in alike if v in served] if served else [v for v in alike if is_leaf(v)]
        return {last: hits[0]} if len(hits) == 1 else {}


# Which part of the whole a picture shows.


def _shown(whole: Drawing, passes: Passes) -> Drawing:
    if passes == "joint":
        return whole
    kept = _kept(whole, passes)
    boxes = [box for box in whole.boxes if box.id in kept]
    if passes == "backward":
        boxes = [_as_saved(box) for box in boxes]
    edges = [
        edge
        for edge in whole.edges
        if {edge.source, edge.target} <= kept and (passes == "forward" or edge.kind != "data")
    ]
    return Drawing(passes, tuple(boxes), tuple(edges))


def _kept(whole: Drawing, passes: Passes) -> set[str]:
    if passes == "forward":
        read = {edge.source for edge in whole.edges if edge.kind == "data"}
        beside = {box.id for box in whole.boxes if box.kind in ("parameter", "state")}
        return {b.id for b in whole.boxes if b.lane == "forward"} - (beside - read)
    kept = {box.id for box in whole.boxes if box.lane != "forward"}
    for edge in whole.edges:
        if edge.kind in ("saved", "turn", "update"):
            kept |= {edge.source, edge.target}
    return kept


def _as_saved(box: Box) -> Box:
    """A forward value, of which the reverse pass only needs to know what it is."""
    if box.lane != "forward" or box.kind not in ("op", "input", "loss"):
        return box
    return replace(box, kind="saved", lines=box.lines[-1:])
