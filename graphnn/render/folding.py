"""Which nodes share a box: a picture shows what a reader wants to see, not every node.

- constants, sizes and the state of random generators are written where they are read;
- a random draw is written into the op that applies it;
- a constant that is filled into a shape is written where it is read, as a loop's first state;
- what only looks at a value another way (a slice, a reshape) belongs to the op that alone reads it;
- reverse nodes of one forward node that only serve each other are one box;
- all update nodes of one parameter, with the optimizer's state, are one box.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from graphnn.render.document.links import ADDED
from graphnn.render.document.records import Id, Node, Pass
from graphnn.render.document.records import Update as Updated
from graphnn.render.flat import Flat, readers_of
from graphnn.spec import FLOATS

SUM = ADDED  # the op in which gradients meet
LOOKS = ("slice", "reshape", "transpose", "broadcast_to", "view")  # ops that compute nothing
_MOVES = (*LOOKS, "pad")  # and what undoes a slice
_LEAVES = ("input", "parameter", "state", "constant", "size")


@dataclass(frozen=True)
class Update:
    """All that gives one parameter its new value.

    Parameters
    ----------
    parameter, new
        What is updated, and the node of its new value.
    nodes
        The update nodes, in order; empty where ``new`` is computed for another purpose too.
    state
        Parameters of the optimizer: momenta, counters, the learning rate.
    reads
        Values from the other lanes.
    """

    parameter: Id
    new: Id
    nodes: tuple[Id, ...]
    state: tuple[Id, ...]
    reads: tuple[Id, ...]


@dataclass(frozen=True)
class Folding:
    """Every node's box.

    Parameters
    ----------
    flat
        The graph.
    groups
        The boxes of ops: for the last node of each, all its nodes in order.
    owner
        For each computed node the last node of its box; a draw has the box that applies it.
    texts
        What is written in place of nodes that have no box.
    updates
        The update boxes.
    leaves
        Inputs and parameters that have a box.
    """

    flat: Flat
    groups: Mapping[Id, tuple[Id, ...]]
    owner: Mapping[Id, Id]
    texts: Mapping[Id, str]
    updates: tuple[Update, ...]
    leaves: tuple[Id, ...]

    @cached_property
    def drawn(self) -> tuple[Id, ...]:
        """The nodes that name the boxes, in order."""
        shown = {*self.leaves, *self.groups}
        return tuple(node for node in self.flat.nodes if node in shown)

    @cached_property
    def _shown(self) -> frozenset[Id]:
        return frozenset(self.drawn)

    def lane(self, node: Id) -> Pass:
        """The pass of a node."""
        return self.flat.nodes[node].pass_

    def shown_by(self, node: Id | None) -> Id | None:
        """The node that names the box in which ``node`` is; None if it has none."""
        last = None if node is None else self.owner.get(node, node)
        return last if last in self._shown else None

    def inputs(self, last: Id) -> list[Id]:
        """Every value that a box of ops reads, once."""
        nodes = self.flat.nodes
        return list(dict.fromkeys(v for node in self.groups[last] for v in nodes[node].inputs))


def is_number(node: Node) -> bool:
    """Whether a node is a constant or a size."""
    return node.kind in ("constant", "size")


def is_leaf(node: Node) -> bool:
    """Whether a node is given, not computed."""
    return node.kind in _LEAVES


def fold(flat: Flat) -> Folding:
    """Decide which nodes share a box."""
    readers = readers_of(flat.nodes)
    texts = _numbers(flat)
    texts |= _fills(flat, texts) | _draws(flat, readers)
    updates = _updates(flat, texts)
    owner = _owners(flat, readers, texts)
    groups: dict[Id, list[Id]] = {}
    for node in flat.nodes:
        if node in owner and node not in texts:
            groups.setdefault(owner[node], []).append(node)
    return Folding(
        flat,
        {last: tuple(nodes) for last, nodes in groups.items()},
        owner,
        texts,
        updates,
        _leaves(flat, texts, updates),
    )


def _numbers(flat: Flat) -> dict[Id, str]:
    return {
        key: node.label or f"constant {node.dtype} {list(node.shape)}"
        for key, node in flat.nodes.items()
        if is_number(node)
    }


def _fills(flat: Flat, numbers: Mapping[Id, str]) -> dict[Id, str]:
    """Constants filled into a shape: the zeros that a loop starts at."""
    kept = {*flat.outputs, *flat.losses}
    return {
        key: numbers[node.inputs[0]]
        for key, node in flat.nodes.items()
        if node.op == "broadcast_to" and node.pass_ == "forward"
        if node.inputs[0] in numbers and key not in kept and not node.label
    }


def _draws(flat: Flat, readers: Mapping[Id, Sequence[Id]]) -> dict[Id, str]:
    """Generators, and the draws from them that one forward op applies."""
    nodes, texts = flat.nodes, dict[Id, str]()
    for key, node in nodes.items():
        if node.pass_ != "forward":
            continue
        if is_leaf(node):
            if node.kind == "state" and node.dtype not in FLOATS:
                texts[key] = node.label or "state"
            continue
        values = [value for value in node.inputs if not is_number(nodes[value])]
        applied = [reader for reader in readers[key] if nodes[reader].pass_ == "forward"]
        kept = key in flat.outputs or len(applied) != 1
        if values and all(value in texts for value in values) and not kept:
            texts[key] = ", ".join(texts[value] for value in values)
    return texts


def _updates(flat: Flat, texts: Mapping[Id, str]) -> tuple[Update, ...]:
    """One update for each parameter; those of an optimizer's state lie within them."""
    state = {one for update in flat.updates for one in update.state if update.nodes}
    return tuple(
        _update(flat, update)
        for update in flat.updates
        if update.within is None and update.parameter not in texts and update.parameter not in state
    )


def _update(flat: Flat, update: Updated) -> Update:
    inside = {*update.nodes, *update.state, update.parameter}
    read = dict.fromkeys(v for node in update.nodes for v in flat.nodes[node].inputs)
    reads = [v for v in read if v not in inside and not is_number(flat.nodes[v])]
    return Update(
        update.parameter,
        update.new,
        update.nodes,
        update.state,
        tuple(reads) if update.nodes else (update.new,),
    )


def _owners(
    flat: Flat, readers: Mapping[Id, Sequence[Id]], texts: Mapping[Id, str]
) -> dict[Id, Id]:
    """The last node of each node's box; both passes are walked backwards, the forward one first."""
    nodes, results = flat.nodes, set(flat.outputs)
    owner: dict[Id, Id] = {}
    backwards = list(nodes)[::-1]
    for key in sorted(backwards, key=lambda key: nodes[key].pass_ != "forward"):
        node = nodes[key]
        if is_leaf(node) or node.pass_ == "update":
            continue
        if key in texts:
            if any(not is_number(nodes[value]) for value in node.inputs):
                applied = next(one for one in readers[key] if nodes[one].pass_ == "forward")
                owner[key] = owner[applied]
            continue
        owner[key] = key
        if key in results or node.kind == "slot":
            continue
        if node.pass_ == "forward":
            read = [one for one in readers[key] if nodes[one].pass_ == "forward"]
            if node.op in LOOKS and len(read) == 1:
                owner[key] = _looked_at(flat, key, read[0], owner)
            continue
        boxes = {owner.get(reader) for reader in readers[key]}
        last = boxes.pop() if len(boxes) == 1 else None
        if last is not None and _serves(flat, key, last, owner):
            owner[key] = last
    return owner


def _looked_at(flat: Flat, key: Id, reader: Id, owner: Mapping[Id, Id]) -> Id:
    """The box of what reads a view, if both lie in one layer and nothing else is in the way."""
    one, other = flat.nodes[key], flat.nodes[reader]
    alike = one.scope == other.scope and other.kind != "slot"
    carried = {source for source, _ in flat.delays}
    return owner.get(reader, key) if alike and key not in carried else key


def _serves(flat: Flat, key: Id, last: Id, owner: Mapping[Id, Id]) -> bool:
    """Whether a reverse node belongs to the box that alone reads it."""
    one, other = flat.nodes[key], flat.nodes[last]
    if _belong_together(one, other):
        return True
    named = any(flat.nodes[of.node].label for of in one.gradient_of if of.whole)
    if one.op not in _MOVES or named or one.scope != other.scope or other.kind == "slot":
        return False
    if one.forward_of is None or other.forward_of is None:
        return one.forward_of is None and other.op != SUM
    same = owner.get(one.forward_of, key) == owner.get(other.forward_of, last)
    return same and other.op in _MOVES


def _belong_together(one: Node, other: Node) -> bool:
    """Whether two reverse nodes serve one forward node; a sum joins only sums."""
    same = one.forward_of is not None and one.forward_of == other.forward_of
    return same and one.scope == other.scope and (one.op == SUM) == (other.op == SUM)


def _leaves(flat: Flat, texts: Mapping[Id, str], updates: Sequence[Update]) -> tuple[Id, ...]:
    """Inputs and parameters with a box: those that are read outside of updates, or updated."""
    updated = {update.parameter for update in updates}
    state = {one for update in updates for one in update.state}
    return tuple(
        key
        for key, node in flat.nodes.items()
        if node.kind in ("input", "parameter", "state")
        and key not in texts
        and key not in state
        and (node.pass_ != "update" or key in updated)
    )
