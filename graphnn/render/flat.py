"""A document as one flat graph: the bodies of loops stand where the loops stood.

Rolled, a body is there once, and an edge of kind "delay" leads from each state after a step to the
state before the next. Unrolled, it is there once for each step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from graphnn.render.document.records import Document, Edge, Id, Level, Loop, Node, Update

MOST_STEPS = 12  # of an unrolled loop; of a longer one the first and the last half of them


@dataclass(frozen=True)
class Flat:
    """Nodes without levels.

    Parameters
    ----------
    document
        Where they come from: texts of ops, buffers, captured values.
    nodes
        By id, each after those that it reads.
    delays
        From a state after a step to the state before the next.
    outputs, losses, updates, turns
        As in the document.
    left_out
        What the picture does not show, in words.
    """

    document: Document
    nodes: Mapping[Id, Node]
    delays: tuple[tuple[Id, Id], ...] = ()
    outputs: tuple[Id, ...] = ()
    losses: tuple[Id, ...] = ()
    updates: tuple[Update, ...] = ()
    turns: tuple[Edge, ...] = ()
    left_out: tuple[str, ...] = ()


def flat_of(document: Document, *, rolled: bool = True) -> Flat:
    """The flat graph of a document."""
    made = _Flattened(rolled)
    made.add(document.graph, {}, "", "")
    new = made.now
    return Flat(
        document,
        {key: made.linked(node) for key, node in made.nodes.items()},
        tuple(made.delays),
        tuple(dict.fromkeys(new(one) for one in document.outputs)),
        tuple(dict.fromkeys(new(one) for one in document.losses)),
        document.updates,
        tuple(edge for edge in document.graph.edges if edge.kind == "turn"),
        tuple(made.left_out),
    )


class _Flattened:
    """Nodes in order, and what stands for those that are gone."""

    def __init__(self, rolled: bool) -> None:
        self.rolled = rolled
        self.nodes: dict[Id, Node] = {}
        self.became: dict[Id, Id] = {}
        self.at_step: dict[Id, list[Id]] = {}  # of a part of an unrolled loop, the value by step
        self.delays: list[tuple[Id, Id]] = []
        self.trails: dict[Id, tuple[Loop, Id]] = {}  # the state before each step, and the last
        self.left_out: list[str] = []

    def now(self, node: Id) -> Id:
        """What stands for a node."""
        while node in self.became:
            node = self.became[node]
        return node

    def linked(self, node: Node) -> Node:
        """The node with references to nodes that are there."""
        of = None if node.forward_of is None else self.now(node.forward_of)
        if of is not None and of not in self.nodes:  # an unrolled loop has one of each step
            of = self.now(of + node.id[len(node.id.partition("@")[0]) :])
        pairs = [replace(one, node=self.now(one.node)) for one in node.gradient_of]
        return replace(
            node,
            forward_of=of if of in self.nodes else None,
            gradient_of=tuple(one for one in pairs if one.node in self.nodes),
        )

    def add(self, level: Level, given: Mapping[Id, Id], frame: str, suffix: str) -> None:
        """Add the nodes of a level; ``given`` says what stands for its slots."""
        loops = {loop.node: loop for loop in level.loops}
        ends: dict[Id, Id] = {}

        def new(node: Id) -> Id:
            return self.now(ends.get(node, node))

        for node in level.nodes:
            if node.kind == "slot" and node.id in given:
                ends[node.id] = given[node.id]
                continue
            if node.id in loops:
                loop = loops[node.id]
                first = {c.slot: new(c.first) for c in loop.carries}
                read = {r.slot: new(r.value) for r in (*loop.slices, *loop.outers)}
                self._loop(loop, node, first, read, frame, suffix)
                continue
            key = node.id + suffix
            if suffix:
                ends[node.id] = key
            if node.kind == "part" or (node.op == "view" and new(node.inputs[0]) in self.at_step):
                if node.kind != "part":
                    self.became[key] = new(node.inputs[0])
                continue
            if node.op == "view" and node.inputs[0] + suffix in self.trails:
                before = self._before(node, suffix)
                if before is not None:
                    self.became[key] = before
                    continue
            scope = _joined(frame, node.scope) if frame else node.scope
            inputs = tuple(self._whole(new(value), node) for value in node.inputs)
            self.nodes[key] = replace(node, id=key, inputs=inputs, scope=scope)
        self.ends = ends

    def _before(self, view: Node, suffix: str) -> Id | None:
        """The state of a loop that is drawn once, if a view looks at that of each step."""
        loop, state = self.trails[view.inputs[0] + suffix]
        each = view.dims[:1] == (loop.length,)
        return state if each and view.attrs["start"] == str(int(loop.reverse)) else None

    def _whole(self, value: Id, reader: Node) -> Id:
        """A value that is there; what an unrolled loop leaves at all steps is one stack."""
        if value not in self.at_step:
            return value
        steps = self.at_step[value]
        if value not in self.nodes:
            like = self.nodes[steps[0]]
            self.nodes[value] = replace(
                like, id=value, name=f"{like.name} of all steps", op="stack", kind="op",
                inputs=tuple(dict.fromkeys(steps)), scope=reader.scope, label=None, step=None,
                dims=(len(steps), *like.dims), equation="stack(...)", gradient_of=(),
            )  # fmt: skip
        return value

    def _loop(
        self,
        loop: Loop,
        node: Node,
        first: Mapping[Id, Id],
        read: Mapping[Id, Id],
        frame: str,
        suffix: str,
    ) -> None:
        """Add a loop; ``suffix`` names the steps of the unrolled loops around it."""
        outside = _joined(frame, node.scope) if frame else node.scope
        name = node.label or node.name.rpartition(".")[2]
        back = " ←" if loop.reverse else ""
        inside = f"{outside}.{name} × {loop.length_text}{back}".lstrip(".")
        if self.rolled or not loop.length:
            self._rolled(loop, first, read, inside, suffix)
        else:
            self._unrolled(loop, first, read, inside, suffix)

    def _rolled(
        self, loop: Loop, first: Mapping[Id, Id], read: Mapping[Id, Id], inside: str, suffix: str
    ) -> None:
        slots = {node.id: node for node in loop.body.nodes if node.kind == "slot"}
        own = {carry.slot: carry.slot + suffix for carry in loop.carries}
        op = "delay_from_next" if loop.reverse else "delay"
        for slot, key in own.items():
            self.nodes[key] = replace(
                slots[slot], id=key, inputs=(first[slot],), scope=inside, kind="slot", op=op
            )
        self.add(loop.body, {**own, **read}, inside, suffix)
        ends = {**own, **read, **self.ends}
        for carry in loop.carries:
            after = self.now(ends.get(carry.next, carry.next))
            self.delays.append((after, own[carry.slot]))
            for part in (carry.trail, carry.last):
                if part is not None:
                    self.became[part + suffix] = after
            if carry.trail is not None:
                self.trails[carry.trail + suffix] = loop, own[carry.slot]
        for stacked in loop.stacks:
            self.became[stacked.part + suffix] = self.now(ends.get(stacked.node, stacked.node))

    def _unrolled(
        self, loop: Loop, first: Mapping[Id, Id], read: Mapping[Id, Id], inside: str, suffix: str
    ) -> None:
        places = _places(loop.length)
        if len(places) < loop.length:
            less = loop.length - len(places)
            self.left_out.append(f"{less} of {loop.length} steps of {inside.rpartition('.')[2]}")
        states = dict(first)
        kept: dict[Id, dict[int, Id]] = {}
        for place in reversed(places) if loop.reverse else places:
            given = dict(states)
            for slot, value in read.items():
                found = self.at_step.get(value)
                given[slot] = value if found is None else found[places.index(place)]
            self.add(loop.body, given, f"{inside}.t={place}", f"{suffix}@{place}")
            ends = {**given, **self.ends}
            states = {carry.slot: self.now(ends[carry.next]) for carry in loop.carries}
            for carry in loop.carries:
                if carry.trail is not None:
                    kept.setdefault(carry.trail, {})[place] = states[carry.slot]
            for stacked in loop.stacks:
                kept.setdefault(stacked.part, {})[place] = self.now(ends[stacked.node])
        for carry in loop.carries:
            if carry.last is not None:
                self.became[carry.last + suffix] = states[carry.slot]
        for part, by_place in kept.items():
            self.at_step[part + suffix] = [by_place[place] for place in places]


def _places(length: int) -> list[int]:
    half = MOST_STEPS // 2
    if length <= MOST_STEPS:
        return list(range(length))
    return [*range(half), *range(length - half, length)]


def _joined(frame: str, scope: str) -> str:
    """A scope within the frame of a loop: what both begin with stands there once."""
    outer, inner = frame.split("."), scope.split(".") if scope else []
    while outer and inner and outer[0] == inner[0]:
        outer, inner = outer[1:], inner[1:]
    return ".".join([frame, *inner])


def scope_of(node: Node) -> tuple[str, ...]:
    """The names of the layers around a node."""
    return tuple(node.scope.split(".")) if node.scope else ()


def readers_of(nodes: Mapping[Id, Node]) -> dict[Id, list[Id]]:
    """Who reads each node."""
    found: dict[Id, list[Id]] = {key: [] for key in nodes}
    for key, node in nodes.items():
        for value in dict.fromkeys(node.inputs):
            found[value].append(key)
    return found


def known(values: Sequence[Id], nodes: Mapping[Id, Node]) -> list[Id]:
    """Those of some ids that are there."""
    return [value for value in values if value in nodes]
