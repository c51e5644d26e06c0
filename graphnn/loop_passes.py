"""What is left of a loop when it is known what is read of it.

States, sequences and values that nobody needs go; a state that is stacked keeps a trail, of which
the states before and after each step, and the last one, are views.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from graphnn.graph import needed
from graphnn.loop import LAST, STACK, TRAIL, VIEW, LoopBody
from graphnn.node import Node, apply, rebuilt
from graphnn.op import Loop, Part
from graphnn.ops.movement.reshape import reshape


def settled(outputs: Sequence[Node]) -> list[Node]:
    """The same values, from loops that compute no more than is read of them."""
    live = _live(outputs)
    if not live:
        return list(outputs)
    new: dict[Node, Node] = {}
    reads: dict[Node, _Read] = {}
    for node in _needed(outputs, live):
        if isinstance(node.op.kernel, Loop):
            new[node] = _pruned(node, live[node], new)
            reads[node] = _Read(live[node], new[node])
        elif isinstance(node.op.kernel, Part):
            new[node] = reads[node.inputs[0]].part(node)
        else:
            new[node] = rebuilt(node, [new[value] for value in node.inputs])
    return [new[node] for node in outputs]


class _Live:
    """What is read of one loop.

    Attributes
    ----------
    carries, inputs
        Which of its states are needed, and which of all its inputs.
    nodes
        What of its body is needed.
    trails
        States that are read at all steps.
    """

    def __init__(self, loop: Node, parts: Sequence[Node]) -> None:
        body: LoopBody = loop.attrs["body"]
        roots = [part.attrs["of"] for part in parts if part.op is STACK]
        wanted = {part.attrs["carry"] for part in parts if part.op is not STACK}
        found: set[Node] = set()
        while True:
            found.update(needed([*roots, *(body.nexts[i] for i in wanted)]))
            more = {i for i, slot in enumerate(body.carries) if slot in found} - wanted
            if not more:
                break
            wanted |= more
        self.carries = sorted(wanted)
        self.nodes = found
        kept = {body.carries[i] for i in wanted} | found
        self.inputs = [i for i, slot in enumerate(body.slots) if slot in kept]
        stacked = set(roots)
        self.trails = {
            i for i in self.carries if body.carries[i] in stacked or body.nexts[i] in stacked
        }


def _live(outputs: Iterable[Node]) -> dict[Node, _Live]:
    """For each loop what is read of it: from the outputs back, through what is needed only."""
    waiting = [(-node.serial, node) for node in dict.fromkeys(outputs)]
    heapq.heapify(waiting)
    seen = {node for _, node in waiting}
    parts: dict[Node, list[Node]] = {}
    live: dict[Node, _Live] = {}
    while waiting:
        _, node = heapq.heappop(waiting)
        inputs: Sequence[Node] = node.inputs
        if isinstance(node.op.kernel, Part):
            parts.setdefault(node.inputs[0], []).append(node)
        elif isinstance(node.op.kernel, Loop):
            live[node] = _Live(node, parts[node])
            inputs = [node.inputs[i] for i in live[node].inputs]
        for value in inputs:
            if value not in seen:
                seen.add(value)
                heapq.heappush(waiting, (-value.serial, value))
    return live


def _needed(outputs: Iterable[Node], live: Mapping[Node, _Live]) -> list[Node]:
    seen: set[Node] = set()
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            kept = live[node].inputs if node in live else range(len(node.inputs))
            stack.extend(node.inputs[i] for i in kept)
    return sorted(seen, key=lambda node: node.serial)


def _pruned(loop: Node, live: _Live, new: Mapping[Node, Node]) -> Node:
    body: LoopBody = loop.attrs["body"]
    kept = {body.slots[i] for i in live.inputs}
    less = replace(
        body,
        carries=tuple(body.carries[i] for i in live.carries),
        slices=tuple(slot for slot in body.slices if slot in kept),
        outers=tuple(slot for slot in body.outers if slot in kept),
        nexts=tuple(body.nexts[i] for i in live.carries),
        nodes=tuple(needed(live.nodes)),
    )
    return rebuilt(loop, [new[loop.inputs[i]] for i in live.inputs], {"body": less})


class _Read:
    """How the parts of a loop are read now."""

    def __init__(self, live: _Live, loop: Node) -> None:
        self.live, self.loop = live, loop
        self.body: LoopBody = loop.attrs["body"]
        self.trails: dict[int, Node] = {}

    def part(self, node: Node) -> Node:
        """What a part has become."""
        if node.op is LAST:
            return self._last(node)
        of, body = node.attrs["of"], self.body
        for place, carry in enumerate(self.live.carries):
            if carry in self.live.trails and of in (body.carries[place], body.nexts[place]):
                after = of is body.nexts[place]
                start = int(after != body.reverse)
                return self._view(place, start, node)
        return rebuilt(node, [self.loop])

    def _last(self, node: Node) -> Node:
        carry = node.attrs["carry"]
        place = self.live.carries.index(carry)
        if carry not in self.live.trails:
            return rebuilt(node, [self.loop], {**node.attrs, "carry": place})
        start = 0 if self.body.reverse else self.body.length
        one = node.spec.with_shape((1, *node.spec.shape))
        attrs = {"start": start, "shape": one.shape}
        made = apply(VIEW, [self._trail(place)], attrs)
        return reshape(rebuilt(made, made.inputs, like=node), node.spec.shape)

    def _view(self, place: int, start: int, node: Node) -> Node:
        made = apply(VIEW, [self._trail(place)], {"start": start, "shape": node.spec.shape})
        return rebuilt(made, made.inputs, like=node)

    def _trail(self, place: int) -> Node:
        if place not in self.trails:
            slot = self.body.carries[place]
            attrs = {"carry": place, "_like": slot, "_length": self.body.length}
            made = apply(TRAIL, [self.loop], attrs)
            self.trails[place] = rebuilt(made, made.inputs, like=self.loop)
        return self.trails[place]
