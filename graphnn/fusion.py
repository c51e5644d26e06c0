"""Fusion: which nodes one kernel computes together.

Elementwise nodes of one shape and one pass join the kernels of their producers, as long as no path
leaves the kernel and comes back; a reduction takes in the elementwise nodes that only it reads.
Slices that such a kernel reads, and a concat whose pieces it computes, join it as walks over the
larger value: nothing is copied.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from graphnn.errors import PlanError
from graphnn.graph import needed
from graphnn.node import Node
from graphnn.op import Alias, Attention, Concat, Leaf, Loop, Part, Reduction, Scalar, Strided
from graphnn.source import Body
from graphnn.spec import Shape
from graphnn.walks import Walk, is_even, is_load, is_store, load_walk, nested

MOST_NODES = 64  # of one kernel: compiling takes more than proportionally long
MOST_PARTS = 1 << 30  # of a loop: as many as are read


@dataclass(frozen=True)
class Group:
    """Nodes that one kernel computes.

    Parameters
    ----------
    nodes
        In order; the last one gives the group its form (elementwise, reduction, product, ...),
        loads and stores aside.
    inputs
        Values from outside, in order of first use. Reshaped values keep their own shape here.
    outputs
        Those of the nodes that somebody outside needs.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]

    @property
    def last(self) -> Node:
        """The node that gives the group its form: the last that is no load and no store."""
        return self.nodes[0] if _is(self.nodes[0], Loop) else _form(self.nodes)

    @property
    def loads(self) -> tuple[Node, ...]:
        """Slices that are read where they lie, in a larger value."""
        return tuple(n for n in self.nodes if _is(n, Strided) and n is not self.last)

    @property
    def stores(self) -> tuple[Node, ...]:
        """Concats whose pieces are written where they belong."""
        return tuple(n for n in self.nodes if _is(n, Concat) and n is not self.last)

    @property
    def operands(self) -> tuple[Node, ...]:
        """Those of the inputs that are read element by element, or broadcast."""
        loads = set(self.loads)
        read = {value for node in self.nodes if node not in loads for value in node.inputs}
        return tuple(value for value in self.inputs if value in read)

    @property
    def walks(self) -> dict[Node, Walk]:
        """For each load where its elements lie in its input."""
        return {node: load_walk(node).within(self.shape) for node in self.loads}

    @property
    def role(self) -> str:
        """The pass that the group belongs to."""
        return self.last.role

    @property
    def shape(self) -> Shape:
        """The shape that the kernel loops over."""
        if isinstance(self.last.op.kernel, Reduction):
            return self.last.inputs[0].spec.shape
        return self.last.spec.shape

    @property
    def name(self) -> str:
        """What the kernel is called: its ops, joined."""
        if isinstance(self.last.op.kernel, Loop):
            return self.last.op.name
        computes = [node for node in self.nodes if _is(node, Scalar, Reduction)]
        ops = [node.op.name for node in computes or self.nodes]
        return "_".join(ops if len(ops) <= 4 else [*ops[:2], f"{len(ops) - 3}_more", ops[-1]])


def _is(node: Node, *kinds: type) -> bool:
    return isinstance(node.op.kernel, kinds)


def is_computed(node: Node) -> bool:
    """Whether a kernel computes the node: it is neither given nor another view."""
    return not isinstance(node.op.kernel, Leaf | Alias)


def root(node: Node) -> Node:
    """The node whose memory ``node`` shows: reshapes are looked through."""
    while isinstance(node.op.kernel, Alias):
        node = node.inputs[0]
    return node


def awaited(node: Node) -> Iterator[Node]:
    """Computed nodes that must be there before ``node`` is read, besides its root.

    A view may have inputs behind the first, which it only waits for: ``gn.checkpoint`` makes such.
    """
    while isinstance(node.op.kernel, Alias):
        for value in node.inputs[1:]:
            yield root(value)
            yield from awaited(value)
        node = node.inputs[0]


def fuse(outputs: Sequence[Node], apart: Iterable[Node] = ()) -> list[Group]:
    """The kernels that compute ``outputs``, in an order in which they could run.

    Those that are to stay ``apart`` are kernels of their own.
    """
    order = needed(outputs)
    readers = _readers(order)
    members = _Joined(order, readers, set(apart)).members
    kept = {root(node) for node in outputs}
    _take_in_loads(order, members, readers, kept)
    _take_in_producers(order, members, readers, kept)
    _put_together(order, members)
    groups: dict[int, list[Node]] = {}
    for node in order:
        if is_computed(node):
            groups.setdefault(id(members[node]), members[node])
    made = [_group(nodes, readers, kept) for nodes in groups.values()]
    return _sorted(made)


def _readers(order: Sequence[Node]) -> dict[Node, list[Node]]:
    readers: dict[Node, list[Node]] = {node: [] for node in order}
    for node in order:
        for value in dict.fromkeys(node.inputs):
            readers[value].append(node)
    return readers


class _Joined:
    """Elementwise nodes with the producers whose kernel they join.

    ``before`` holds, for each node, what has to run before its group or in it, as bits: all that
    any node of the group needs, and all that the groups of those need. A node joins a group only if
    nothing that would stay outside needs the joined group: else two kernels would wait for each
    other.
    """

    def __init__(
        self, order: Sequence[Node], readers: Mapping[Node, Sequence[Node]], apart: set[Node]
    ) -> None:
        self.bit = {node: 1 << i for i, node in enumerate(order)}
        self.readers = readers
        self.members: dict[Node, list[Node]] = {}
        self.before: dict[Node, int] = {}
        for node in order:
            self.before[node] = self.bit[node] | self._needed_by([node])
            if not is_computed(node):
                continue
            self.members[node] = [node]
            if isinstance(node.op.kernel, Part):
                self._join(self.members[node.inputs[0]], self.members[node], most=MOST_PARTS)
            if node in apart:
                continue
            if isinstance(node.op.kernel, Scalar):
                for value in node.inputs:
                    if value in self.members and _alike(node, value):
                        self._join(self.members[value], self.members[node])
            elif is_store(node) and _all_join(node, self.members):
                self._join(*(self.members[value] for value in node.inputs), self.members[node])

    def _needed_by(self, nodes: Sequence[Node]) -> int:
        """All that must run before ``nodes``, if they were one group."""
        inside = set(nodes)
        mask = 0
        for node in nodes:
            for value in node.inputs:
                # What a load reads has to be there as a whole before the kernel begins.
                if value not in inside or isinstance(node.op.kernel, Strided):
                    mask |= self.before[value]
        return mask

    def _join(self, *groups: list[Node], most: int = MOST_NODES) -> None:
        """Make one group of several, if that is sound: all of them or none."""
        union = sorted({node for nodes in groups for node in nodes}, key=self.bit.__getitem__)
        if len(union) > most or len(union) == len(groups[-1]) or not _in_vectors(union):
            return
        inside = sum(self.bit[node] for node in union)
        outside = self._needed_by(union)
        if outside & inside:
            return
        for node in union:
            self.members[node] = union
        self._note(union, inside | outside)

    def _note(self, group: Sequence[Node], before: int) -> None:
        """What comes before a group comes before all groups that need it, too."""
        waiting = [group]
        while waiting:
            nodes = waiting.pop()
            known = self.before[nodes[0]]
            if known | before == known and nodes is not group:
                continue
            for node in nodes:
                self.before[node] |= before
            after = {other for node in nodes for other in self.readers[node]} - set(nodes)
            waiting += [self.members.get(other, [other]) for other in after if other in self.before]


def _alike(node: Node, value: Node) -> bool:
    return (
        (isinstance(value.op.kernel, Scalar) or is_load(value))
        and value.spec.shape == node.spec.shape
        and value.role == node.role
    )


def _in_vectors(nodes: Sequence[Node]) -> bool:
    """Whether nodes are no slower in one kernel: long formulas want loops of whole vectors."""
    walking = [node for node in nodes if _is(node, Strided, Concat)]
    return all(map(is_even, walking)) or not any(map(is_long, nodes))


def is_long(node: Node) -> bool:
    """Whether an elementwise formula calls functions."""
    kernel = node.op.kernel
    return isinstance(kernel, Scalar) and _calls(kernel.body)


@cache
def _calls(body: Body) -> bool:
    parts = (part for line in body.statements for part in ast.walk(line))
    return any(isinstance(part, ast.Call) for part in parts)


def _all_join(store: Node, members: Mapping[Node, list[Node]]) -> bool:
    """Whether elementwise groups compute all pieces of a concat."""
    makers = [_form(members[piece]) for piece in store.inputs if piece in members]
    return (
        len(makers) == len(store.inputs)
        and all(_is(maker, Scalar) or is_load(maker) for maker in makers)
        and any(_is(maker, Scalar) for maker in makers)
        and all(maker.role == store.role for maker in makers)
    )


def _take_in_loads(
    order: Sequence[Node],
    members: dict[Node, list[Node]],
    readers: Mapping[Node, Sequence[Node]],
    kept: set[Node],
) -> None:
    """Slices that one kernel alone reads, in its own shape or broadcast to it.

    What they read was needed before that kernel already: no two kernels can come to wait for each
    other.
    """
    for node in order:
        if node not in members or len(members[node]) > 1 or node in kept or not is_load(node):
            continue
        union = members.get(readers[node][0], [])
        if not union or len(union) >= MOST_NODES or not _is(_form(union), Scalar):
            continue
        private = all(
            members.get(other) is union and not _is(other, Strided) for other in readers[node]
        )
        if private and _in_vectors([node, *union]):
            union.insert(0, node)
            members[node] = union


def _form(nodes: Sequence[Node]) -> Node:
    """The node that gives a group its form: the last that is no load and no store."""
    if isinstance(nodes[0].op.kernel, Loop):
        return nodes[0]
    computes = (n for n in reversed(nodes) if isinstance(n.op.kernel, Scalar | Reduction))
    return next(computes, nodes[-1])


def _take_in_producers(
    order: Sequence[Node],
    members: dict[Node, list[Node]],
    readers: Mapping[Node, Sequence[Node]],
    kept: set[Node],
) -> None:
    for node in order:
        if not isinstance(node.op.kernel, Reduction) or node.inputs[0] not in members:
            continue
        value = node.inputs[0]
        producers = members[value]
        if not _is(value, Scalar) and not is_load(value):
            continue
        inside = {*producers, node}
        private = all(
            other in inside for one in producers for other in readers[one]
        ) and not kept.intersection(producers)
        if private and value.role == node.role and loops(value.spec.shape, producers, node):
            union = [*producers, node]
            for one in union:
                members[one] = union


def _put_together(order: Sequence[Node], members: dict[Node, list[Node]]) -> None:
    """Results of attention that come from the same tiles are one kernel.

    Where neither needs the other, no two kernels can wait for each other: what comes before the
    one comes before the other, but for the values, which nothing but gradients makes of results.
    """
    found: dict[Node, list[list[Node]]] = {}
    for node in order:
        kernel = node.op.kernel
        if isinstance(kernel, Attention):
            groups = found.setdefault(node.inputs[0], [])
            fits = (
                group
                for group in groups
                if all(kernel.together(node, one) and _unneeded(one, node) for one in group)
            )
            group = next(fits, [])
            if not group:
                groups.append(group)
            group.append(node)
            members[node] = group


def _unneeded(early: Node, late: Node) -> bool:
    """Whether a node needs none that was declared before it."""
    after = [value for value in late.inputs if value.serial > early.serial]
    return not after or early not in needed(after)


def _group(nodes: Sequence[Node], readers: Mapping[Node, Sequence[Node]], kept: set[Node]) -> Group:
    inside = set(nodes)
    inputs = dict.fromkeys(v for node in nodes for v in node.inputs if v not in inside)
    outputs = [
        node
        for node in nodes
        if node in kept or any(other not in inside for other in readers[node])
    ]
    return Group(tuple(nodes), tuple(inputs), tuple(outputs or nodes[-1:]))


def _sorted(groups: list[Group]) -> list[Group]:
    """Groups in an order in which each comes after those that it needs."""
    maker = {node: group for group in groups for node in group.nodes}
    done: dict[int, Group] = {}
    begun: set[int] = set()

    def visit(first: Group) -> None:
        stack: list[tuple[Group, bool]] = [(first, False)]
        while stack:
            group, ready = stack.pop()
            if id(group) in done:
                continue
            if ready:
                done[id(group)] = group
                continue
            if id(group) in begun:
                raise PlanError(f"the kernel {group.name} waits for its own results")
            begun.add(id(group))
            stack.append((group, True))
            for value in reversed(group.inputs):
                for source in (root(value), *awaited(value)):
                    before = maker.get(source)
                    if before is not None and id(before) not in done:
                        stack.append((before, False))

    for group in sorted(groups, key=lambda g: g.last.serial):
        visit(group)
    return list(done.values())


def loops(shape: Shape, producers: Sequence[Node], reduction: Node) -> bool:
    """Whether a reduction and its producers walk in at most one loop before, in and after it."""
    inside = set(producers)
    read = [n for n in producers if not _is(n, Strided)]
    outside = [v.spec.shape for node in read for v in node.inputs if v not in inside]
    walks = [load_walk(node).within(shape) for node in producers if _is(node, Strided)]
    axes = reduction.attrs["axes"]
    found = nested(shape, outside, axes, walks)
    reduced = [i for i, joined in enumerate(found.axes) if joined[0] in axes]
    before, after = reduced[0] if reduced else 0, len(found.sizes) - 1
    return len(reduced) == 1 and before <= 1 and after - before <= 1
