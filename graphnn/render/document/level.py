"""The nodes, steps and buffers of a graph, or of the body of a loop, as records."""

from __future__ import annotations

import os
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from graphnn.barriers import Layout
from graphnn.context import SourceLine
from graphnn.fusion import Group, root
from graphnn.graph import Graph, equation
from graphnn.loop import Slot
from graphnn.node import Constant, Input, Node, Parameter, Size
from graphnn.op import Alias, Leaf, Loop, Op, Part, Scalar
from graphnn.pairing import pairs_of
from graphnn.plan import KernelText
from graphnn.render.document import records
from graphnn.render.document.ancestry import Ancestry
from graphnn.render.document.formulas import reverse_rule, source_of
from graphnn.render.document.links import edges_of, saved_of, sums_of
from graphnn.render.document.planned import forward_of
from graphnn.render.document.records import Id, NodeKind, Pass
from graphnn.schedule import Inner, Step
from graphnn.spec import Dim, DimLike, evaluate, symbol_name

MOST_ELEMENTS = 16  # of a constant whose value is written out


@dataclass
class Scribe:
    """What is known while the records of a graph are made.

    Parameters
    ----------
    ancestry
        What declared nodes have become.
    sizes
        The size of each symbol.
    ids
        Of every node, also of those in the bodies of loops. Of one that several levels have, as a
        constant, or the body of a loop that is run again in the reverse pass: that of the first.
    ops, kernels
        The texts that were met so far.
    """

    ancestry: Ancestry
    sizes: Mapping[str, int]
    ids: ChainMap[Node, Id] = field(default_factory=ChainMap)
    ops: dict[str, records.OpText] = field(default_factory=dict)
    kernels: dict[Id, records.Kernel] = field(default_factory=dict)
    _known_ops: dict[Op, str] = field(default_factory=dict)
    _known_kernels: dict[tuple[str, str], Id] = field(default_factory=dict)
    _origins: dict[int, Node] = field(default_factory=dict)

    def enter(self, nodes: Iterable[Node], prefix: str = "") -> None:
        """Give ids to the nodes of a level."""
        for node, name in _numbered(nodes, prefix).items():
            self.ids.setdefault(node, name)
            self._origins.setdefault(id(node.origin), node)

    def within(self, nodes: Iterable[Node], prefix: str) -> Scribe:
        """The same for one level, whose nodes have the ids of that level."""
        return replace(self, ids=self.ids.new_child(_numbered(nodes, prefix)))

    def first(self, node: Node) -> Id | None:
        """The id of a node on the first level that has it, if this is another."""
        found = self.ids.maps[-1].get(node)
        return None if found == self.ids[node] else found

    def find(self, node: Node | None) -> Id | None:
        """The id of what a declared node has become, on any level."""
        own = None if node is None else self._found(node)
        return None if own is None else self.ids.get(own)

    def find_whole(self, node: Node) -> Id | None:
        """The same, but nothing where rewrites have left pieces of the value only."""
        own = self._found(node)
        return self.ids.get(own) if own is not None and own.spec == node.spec else None

    def _found(self, node: Node) -> Node | None:
        own = node if node in self.ids else self._origins.get(id(node.origin))
        return self.ancestry.present(node) if own is None else own

    def op(self, node: Node) -> str:
        """The key of an op's texts; ops of one name are told apart."""
        op = node.op
        if op not in self._known_ops:
            name, count = op.name, 1
            while name in self.ops:
                count += 1
                name = f"{op.name}#{count}"
            self._known_ops[op] = name
            self.ops[name] = records.OpText(
                form=type(op.kernel).__name__,
                label=op.label,
                formula=op.formula,
                gradient=reverse_rule(node),
                params=tuple(op.kernel.body.params) if isinstance(op.kernel, Scalar) else (),
                source=source_of(op) if not isinstance(op.kernel, Leaf | Loop | Part) else "",
                color=op.color,
            )
        return self._known_ops[op]

    def kernel(self, kernel: KernelText) -> Id:
        """The id of a kernel."""
        key = kernel.name, kernel.source
        if key not in self._known_kernels:
            self._known_kernels[key] = f"k{len(self.kernels)}"
            self.kernels[self._known_kernels[key]] = records.Kernel(*key)
        return self._known_kernels[key]

    def size(self, dim: DimLike) -> int:
        """A dimension, or a number of bytes, in numbers."""
        return evaluate(dim, self.sizes)

    def flops(self, node: Node) -> int:
        """Arithmetic operations of a node."""
        specs = (value.spec for value in node.inputs)
        return self.size(node.op.flops(node.spec, *specs, **node.attrs))


def _numbered(nodes: Iterable[Node], prefix: str) -> dict[Node, Id]:
    return {node: f"{prefix}n{i}" for i, node in enumerate(nodes)}


@dataclass(frozen=True)
class Place:
    """Where a level lies in the whole: the prefix of its ids and of the numbers of its steps."""

    ids: str = ""
    steps: str = ""


def level_of(
    scribe: Scribe,
    graph: Graph,
    lanes: Mapping[Node, Pass],
    steps: Sequence[Step],
    kernels: Sequence[KernelText],
    layout: Layout,
    place: Place,
) -> records.Level:
    """The records of a level whose nodes have their ids."""
    scribe = scribe.within(graph.nodes, place.ids)
    made_by = {n: f"{place.steps}{i}" for i, step in enumerate(steps) for n in step.group.nodes}
    slots = {n: i for i, buffer in enumerate(layout.buffers) for n in buffer.nodes}
    homes = {
        out: target
        for step in steps
        for out, target in zip(step.group.outputs, step.targets, strict=True)
        if target is not out
    }
    names = graph.names()
    nodes = [_node(scribe, node, names, lanes[node]) for node in graph.nodes]
    placed = [
        replace(
            record,
            step=made_by.get(node),
            slot=slots.get(root(node)),
            home=scribe.ids.get(homes[node]) if node in homes else None,
        )
        for node, record in zip(graph.nodes, nodes, strict=True)
    ]
    loops = [
        _loop(scribe, step.inner, lanes, kernel, layout.inner[i], f"{place.steps}{i}.")
        for i, (step, kernel) in enumerate(zip(steps, kernels, strict=True))
        if step.inner is not None
    ]
    order = {number: i for i, number in enumerate(made_by.values())}
    return records.Level(
        nodes=tuple(placed),
        edges=tuple(edges_of(placed)),
        steps=tuple(_steps(scribe, steps, kernels, layout, place)),
        memory=_memory(scribe, layout, steps),
        sums=tuple(sums_of(placed)),
        saved=tuple(saved_of(placed, order)),
        loops=tuple(loops),
    )


def _node(scribe: Scribe, node: Node, names: Mapping[Node, str], lane: Pass) -> records.Node:
    of, shape = forward_of(node), node.spec.shape
    return records.Node(
        id=scribe.ids[node],
        name=names[node],
        label=node.label,
        op=scribe.op(node),
        kind=_kind(node),
        inputs=tuple(scribe.ids[value] for value in node.inputs),
        shape=tuple(_dim(dim) for dim in shape),
        dims=node.spec.concrete(scribe.sizes),
        dtype=node.dtype,
        bytes=scribe.size(node.spec.nbytes),
        flops=scribe.flops(node),
        pass_=lane,
        scope=node.scope,
        layer=None if node.layer is None else node.layer.kind,
        at=line_of(node.origin if of is None else of.origin),
        equation=equation(node, names),
        attrs=_attrs(node),
        forward_of=(scribe.find(of) or scribe.first(node)) if lane == "backward" else None,
        gradient_of=_gradients(scribe, node) if lane == "backward" else (),
        view_of=scribe.ids.get(root(node)) if isinstance(node.op.kernel, Alias) else None,
        text=_text(node),
    )


def _kind(node: Node) -> NodeKind:
    if isinstance(node, Parameter):
        return "parameter" if node.trainable else "state"
    kinds: dict[type, NodeKind] = {
        Input: "input", Constant: "constant", Size: "size", Slot: "slot",
    }  # fmt: skip
    forms: dict[type, NodeKind] = {Alias: "view", Loop: "loop", Part: "part"}
    return kinds.get(type(node)) or forms.get(type(node.op.kernel)) or "op"


def _dim(dim: DimLike) -> int | str:
    return symbol_name(dim) or str(dim) if isinstance(dim, Dim) else int(dim)


def _attrs(node: Node) -> dict[str, str]:
    """Settings that are text, numbers, and tuples of such: no objects with an address."""
    found = {key: value for key, value in sorted(node.attrs.items()) if not key.startswith("_")}
    return {key: _written(value) for key, value in found.items() if value is not None}


def _written(value: Any) -> str:
    if isinstance(value, Node):
        return value.name
    text = str(value)
    return type(value).__name__ if " at 0x" in text else text


def _gradients(scribe: Scribe, node: Node) -> tuple[records.GradientOf, ...]:
    found: dict[Id, records.GradientOf] = {}
    for pair in pairs_of(node):
        value = scribe.find_whole(pair.value)
        if value is None or value == scribe.ids[node] or not _fits(node, pair.value):
            continue
        losses = [scribe.find(of) for of in pair.of]
        loss = next((one for one in losses if one is not None), None)
        if value not in found or pair.whole:
            found[value] = records.GradientOf(value, pair.whole, loss)
    return tuple(found.values())


def _fits(gradient: Node, value: Node) -> bool:
    """Whether a cotangent is one of the whole value; it may be waiting to be broadcast."""
    shape, wanted = gradient.spec.shape, value.spec.shape
    shape = (*(1,) * (len(wanted) - len(shape)), *shape)
    return len(shape) == len(wanted) and all(
        a in (1, b) for a, b in zip(shape, wanted, strict=True)
    )


def _text(node: Node) -> str | None:
    if isinstance(node, Constant) and node.array.size <= MOST_ELEMENTS:
        return np.array2string(node.array, precision=6, separator=", ", threshold=MOST_ELEMENTS)
    return node.label if isinstance(node, Size) else None


def line_of(origin: SourceLine) -> records.Line:
    """The user's line; no folder outside of the working directory is named."""
    here = os.getcwd() + os.sep
    inside = origin.file.startswith(here)
    file = origin.file[len(here) :] if inside else os.path.basename(origin.file)
    return records.Line(file.replace(os.sep, "/"), origin.line)


# The schedule.


def _steps(
    scribe: Scribe,
    steps: Sequence[Step],
    kernels: Sequence[KernelText],
    layout: Layout,
    place: Place,
) -> Iterable[records.Step]:
    scratch = {b.first: b.nbytes for b in layout.buffers if not b.nodes}

    def known(nodes: Iterable[Node]) -> tuple[Id, ...]:
        return tuple(scribe.ids[node] for node in nodes)

    for i, (step, kernel, wait) in enumerate(zip(steps, kernels, layout.barriers, strict=True)):
        group = step.group
        yield records.Step(
            number=f"{place.steps}{i}",
            pass_=_role(group),
            kernel=None if step.inner else scribe.kernel(kernel),
            name=kernel.name,
            nodes=known(group.nodes),
            inputs=known(group.inputs),
            outputs=known(group.outputs),
            targets=known(step.targets),
            over=tuple(None if v is None else scribe.ids[v] for v in step.over),
            wait=wait,
            bytes=sum(scribe.size(n.spec.nbytes) for n in (*group.inputs, *group.outputs)),
            flops=sum(map(scribe.flops, group.nodes)),
            scratch=scratch.get(i, 0),
            loop=scribe.ids[step.inner.loop] if step.inner else None,
        )


def _role(group: Group) -> Pass:
    return group.last.role


def _memory(scribe: Scribe, layout: Layout, steps: Sequence[Step]) -> records.Memory:
    owned = {
        node
        for step in steps
        for node in (*map(root, step.group.inputs), *step.targets)
        if isinstance(node, Parameter)
    }
    return records.Memory(
        arena=layout.nbytes,
        unshared=layout.total,
        gradients=layout.gradient_bytes,
        parameters=sum(scribe.size(node.spec.nbytes) for node in owned),
        buffers=tuple(
            records.Buffer(
                i, b.offset, b.nbytes, b.first, b.last, tuple(scribe.ids[n] for n in b.nodes)
            )
            for i, b in enumerate(layout.buffers)
        ),
    )


# Loops.


def body_graph(inner: Inner) -> Graph:
    """What one iteration computes, and its slots."""
    return Graph([*inner.nexts, *inner.stacks, *inner.body.slots])


def _loop(
    scribe: Scribe,
    inner: Inner,
    lanes: Mapping[Node, Pass],
    kernel: KernelText,
    layout: Layout,
    number: str,
) -> records.Loop:
    body, loop = inner.body, inner.loop
    graph = body_graph(inner)
    ids, prefix = scribe.ids, f"{scribe.ids[loop]}/"
    own = scribe.within(graph.nodes, prefix).ids
    again = lanes[loop] == "backward"  # also what the forward pass has computed before
    states, sequences, others = body.shares(loop.inputs)
    carried = zip(body.carries, states, inner.nexts, inner.trails, inner.lasts, strict=True)
    within: Sequence[KernelText] = getattr(kernel, "kernels", ())
    return records.Loop(
        node=ids[loop],
        length=scribe.size(body.length),
        length_text=str(_dim(body.length)),
        reverse=body.reverse,
        carries=tuple(
            records.Carried(
                own[slot],
                ids[first],
                own[new],
                None if trail is None else ids[trail],
                None if last is None else ids[last],
            )
            for slot, first, new, trail, last in carried
        ),
        slices=tuple(
            records.Read(own[s], ids[v]) for s, v in zip(body.slices, sequences, strict=True)
        ),
        outers=tuple(
            records.Read(own[s], ids[v]) for s, v in zip(body.outers, others, strict=True)
        ),
        stacks=tuple(records.Stacked(own[n], ids[part]) for n, part in inner.stacks.items()),
        body=level_of(
            scribe,
            graph,
            {node: lanes[loop] if again else node.role for node in graph.nodes},
            inner.steps,
            within,
            layout,
            Place(prefix, number),
        ),
    )
