"""Which nodes share a box: a picture shows what a reader wants to see, not every node.

- constants, sizes and the state of random generators are written where they are read;
- a random draw is written into the op that applies it;
- reverse nodes of one forward node that only serve each other are one box;
- all update nodes of one parameter, with the optimizer's state, are one box.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from graphnn.graph import needed
from graphnn.node import Constant, Input, Node, Parameter, Size
from graphnn.op import Leaf
from graphnn.render.model import Lane
from graphnn.render.subject import Subject
from graphnn.spec import FLOATS

SUM = "accumulate"  # the op in which gradients meet


@dataclass(frozen=True)
class Update:
    """All that gives one parameter its new value.

    Parameters
    ----------
    parameter
        What is updated.
    new
        The node of its new value.
    nodes
        The update nodes, in order; empty where ``new`` is computed for another purpose too.
    state
        Parameters of the optimizer: momenta, counters, the learning rate.
    """

    parameter: Parameter
    new: Node
    nodes: tuple[Node, ...]
    state: tuple[Parameter, ...]

    @property
    def reads(self) -> tuple[Node, ...]:
        """Values from the other lanes."""
        if not self.nodes:
            return (self.new,)
        inside = {*self.nodes, *self.state, self.parameter}
        found = dict.fromkeys(value for node in self.nodes for value in node.inputs)
        return tuple(value for value in found if value not in inside and not is_number(value))


@dataclass(frozen=True)
class Folding:
    """Every node's box.

    Parameters
    ----------
    lanes
        The lane of each node.
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

    lanes: Mapping[Node, Lane]
    groups: Mapping[Node, tuple[Node, ...]]
    owner: Mapping[Node, Node]
    texts: Mapping[Node, str]
    updates: tuple[Update, ...]
    leaves: tuple[Node, ...]

    @cached_property
    def drawn(self) -> tuple[Node, ...]:
        """The nodes that name the boxes, in the order of declaration."""
        return tuple(sorted([*self.leaves, *self.groups], key=lambda node: node.serial))

    @cached_property
    def ids(self) -> Mapping[Node, str]:
        """The id of the box that each of :attr:`drawn` names."""
        return {node: f"box{i}" for i, node in enumerate(self.drawn)}

    def shown_by(self, node: Node | None) -> Node | None:
        """The node that names the box in which ``node`` is; None if it has none."""
        last = None if node is None else self.owner.get(node, node)
        return last if last in self.ids else None

    def ops(self, lane: Lane) -> list[Node]:
        """The nodes that name the boxes of ops in a lane."""
        return [node for node in self.groups if self.lanes[node] == lane]

    def inputs(self, last: Node) -> list[Node]:
        """Every value that a box of ops reads, once."""
        return list(dict.fromkeys(value for node in self.groups[last] for value in node.inputs))


def is_number(node: Node) -> bool:
    """Whether a node is a constant or a size."""
    return isinstance(node, Constant | Size)


def is_leaf(node: Node) -> bool:
    """Whether a node is given, not computed."""
    return isinstance(node.op.kernel, Leaf)


def fold(subject: Subject) -> Folding:
    """Decide which nodes share a box."""
    readers = _readers(subject.graph.nodes)
    lanes = _lanes(subject)
    texts = _numbers(subject.graph.nodes) | _draws(subject, lanes, readers)
    updates = _updates(subject, lanes, texts)
    owner = _owners(subject, lanes, readers, texts)
    groups: dict[Node, list[Node]] = {}
    for node in subject.graph.nodes:
        if node in owner and node not in texts:
            groups.setdefault(owner[node], []).append(node)
    return Folding(
        lanes,
        {last: tuple(nodes) for last, nodes in groups.items()},
        owner,
        texts,
        updates,
        _leaves(subject, lanes, texts, updates),
    )


def _readers(nodes: Sequence[Node]) -> dict[Node, list[Node]]:
    readers: dict[Node, list[Node]] = {node: [] for node in nodes}
    for node in nodes:
        for value in dict.fromkeys(node.inputs):
            readers[value].append(node)
    return readers


def _lanes(subject: Subject) -> dict[Node, Lane]:
    """The lane of each node: what only new values need is an update, whoever declared it."""
    reverse = [node for node in subject.graph.nodes if node.role == "backward"]
    live = set(needed([*subject.results, *reverse]))
    lanes: dict[Node, Lane] = {}
    for node in subject.graph.nodes:
        before = {lanes[value] for value in node.inputs}
        if node.role == "backward":
            lanes[node] = "backward"
        elif isinstance(node, Input) or getattr(node, "trainable", False):
            lanes[node] = "forward"
        elif node not in live or "update" in before:
            lanes[node] = "update"
        else:
            lanes[node] = "backward" if "backward" in before else "forward"
    return lanes


def _numbers(nodes: Sequence[Node]) -> dict[Node, str]:
    return {node: node.label or f"constant {node.spec}" for node in nodes if is_number(node)}


def _draws(
    subject: Subject, lanes: Mapping[Node, Lane], readers: Mapping[Node, Sequence[Node]]
) -> dict[Node, str]:
    """Generators, and the draws from them that one forward op applies."""
    texts: dict[Node, str] = {}
    for node in subject.graph.nodes:
        if lanes[node] != "forward":
            continue
        if is_leaf(node):
            if _is_generator(node):
                texts[node] = node.label or "state"
            continue
        values = [value for value in node.inputs if not is_number(value)]
        applied = [reader for reader in readers[node] if lanes[reader] == "forward"]
        kept = node in subject.results or len(applied) != 1
        if values and all(value in texts for value in values) and not kept:
            texts[node] = ", ".join(texts[value] for value in values)
    return texts


def _is_generator(node: Node) -> bool:
    return isinstance(node, Parameter) and not node.trainable and node.dtype not in FLOATS


def _updates(
    subject: Subject, lanes: Mapping[Node, Lane], texts: Mapping[Node, str]
) -> tuple[Update, ...]:
    """One update for each parameter; those of an optimizer's state lie within them."""
    found = [_update(parameter, new, lanes) for parameter, new in subject.updates]
    state = {one for update in found for one in update.state}
    return tuple(
        update
        for update in found
        if update.parameter not in state and update.parameter not in texts
    )


def _update(parameter: Parameter, new: Node, lanes: Mapping[Node, Lane]) -> Update:
    before = needed([new])
    nodes = tuple(node for node in before if lanes[node] == "update" and not is_leaf(node))
    state = tuple(
        node
        for node in before
        if isinstance(node, Parameter)
        and lanes[node] == "update"
        and node is not parameter
        and not node.trainable
    )
    return Update(parameter, new, nodes, state if nodes else ())


def _owners(
    subject: Subject,
    lanes: Mapping[Node, Lane],
    readers: Mapping[Node, Sequence[Node]],
    texts: Mapping[Node, str],
) -> dict[Node, Node]:
    """The last node of each node's box; the reverse pass is walked backwards."""
    results = set(subject.results)
    owner: dict[Node, Node] = {}
    for node in reversed(subject.graph.nodes):
        if is_leaf(node) or lanes[node] == "update":
            continue
        if node in texts:
            applied = next(reader for reader in readers[node] if lanes[reader] == "forward")
            owner[node] = owner[applied]
            continue
        owner[node] = node
        if lanes[node] != "backward" or node in results:
            continue
        boxes = {owner.get(reader) for reader in readers[node]}
        last = boxes.pop() if len(boxes) == 1 else None
        if last is not None and _belong_together(subject, node, last):
            owner[node] = last
    return owner


def _belong_together(subject: Subject, node: Node, last: Node) -> bool:
    """Whether two reverse nodes serve one forward node; a sum joins only sums."""
    one, other = subject.forward_of(node), subject.forward_of(last)
    return one is not None and one is other and (node.op.name == SUM) == (last.op.name == SUM)


def _leaves(
    subject: Subject,
    lanes: Mapping[Node, Lane],
    texts: Mapping[Node, str],
    updates: Sequence[Update],
) -> tuple[Node, ...]:
    """Inputs and parameters with a box: those that are read outside of updates, or updated."""
    updated = {update.parameter for update in updates}
    state = {one for update in updates for one in update.state}
    return tuple(
        node
        for node in subject.graph.nodes
        if isinstance(node, Input | Parameter)
        and node not in texts
        and node not in state
        and (lanes[node] != "update" or node in updated)
    )
