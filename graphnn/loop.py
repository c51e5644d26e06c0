"""Loops over time: one node that runs the nodes of a body again and again.

A body is a graph of its own. What it reads stands in slots: the state, which the next step gets
anew; the slice of each sequence that belongs to the step; values from outside that never change.
What a loop leaves behind is read through its parts: a value of the body, stacked over all steps,
or the last state. Any node of the body can be stacked, also later on, by its reverse pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.errors import GraphError
from graphnn.graph import needed
from graphnn.node import Constant, Node, Size, apply, rebuilt
from graphnn.op import Alias, Leaf, Loop, Op, Part
from graphnn.ops.movement.broadcast import BROADCAST, broadcast_to
from graphnn.ops.movement.transpose import TRANSPOSE
from graphnn.ops.random.generator import GENERATORS
from graphnn.ops.training.phase import UPDATING
from graphnn.spec import FLOATS, DimLike, Shape, TensorSpec, product


class Slot(Node):
    """A place in a body that is filled at each step."""

    __slots__ = ()

    def __init__(self, spec: TensorSpec, name: str) -> None:
        super().__init__(SLOT, spec=spec, name=name)


@dataclass(frozen=True, eq=False)
class LoopBody:
    """What a loop runs at each step.

    Parameters
    ----------
    carries, slices, outers
        Slots: of the state, of the sequences' slices, of what stays the same; a loop's inputs are
        the first states, the sequences, and those values, in this order.
    nexts
        The state after the step.
    nodes
        All that may be read: everything between the slots and the results.
    length
        Number of steps.
    reverse
        Whether the last slice comes first.
    again
        Whether the reverse pass computes the nodes again instead of reading their stacks.
    """

    carries: tuple[Node, ...]
    slices: tuple[Node, ...]
    outers: tuple[Node, ...]
    nexts: tuple[Node, ...]
    nodes: tuple[Node, ...]
    length: DimLike
    reverse: bool = False
    again: bool = False

    @property
    def slots(self) -> tuple[Node, ...]:
        """All slots, in the order of the loop's inputs."""
        return (*self.carries, *self.slices, *self.outers)

    def shares(self, values: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """What stands for the loop's inputs, by kind: states, sequences, others."""
        first, second = len(self.carries), len(self.carries) + len(self.slices)
        return list(values[:first]), list(values[first:second]), list(values[second:])

    def replaced(self, new: Mapping[Node, Node]) -> LoopBody:
        """The same body with other nodes in it; itself if nothing changes."""
        if all(new[node] is node for node in self.nodes):
            return self
        nexts = tuple(new[node] for node in self.nexts)
        nodes = needed(new[node] for node in self.nodes)
        return replace(self, nexts=nexts, nodes=tuple(nodes))

    def __repr__(self) -> str:
        ops = sum(not isinstance(node.op.kernel, Leaf) for node in self.nodes)
        return f"{ops} ops × {self.length}{' in reverse' * self.reverse}"


def loop_spec(*inputs: TensorSpec, body: LoopBody) -> TensorSpec:
    """A loop is a float for those who ask whether anything flows through it."""
    dtypes = [node.dtype for node in body.nodes if node.dtype in FLOATS]
    return TensorSpec((), dtypes[0] if dtypes else "int64")


def loop_flops(_out: TensorSpec, *_inputs: TensorSpec, body: LoopBody) -> DimLike:
    """Those of all steps."""
    total: DimLike = 0
    for node in body.nodes:
        total = total + node.op.flops(node.spec, *(v.spec for v in node.inputs), **node.attrs)
    return total * body.length


def _stack_spec(_loop: TensorSpec, *, of: Node, _length: DimLike) -> TensorSpec:
    return of.spec.with_shape((_length, *of.spec.shape))


def _last_spec(_loop: TensorSpec, *, carry: int, _like: Node) -> TensorSpec:
    return _like.spec


def _trail_spec(_loop: TensorSpec, *, carry: int, _like: Node, _length: DimLike) -> TensorSpec:
    return _like.spec.with_shape((_length + 1, *_like.spec.shape))


def _view_spec(x: TensorSpec, *, start: DimLike, shape: Shape) -> TensorSpec:
    return x.with_shape(shape)


def no_reference(*_arrays: NDArray[Any], **_attrs: Any) -> NDArray[Any]:
    """What has no formula of its own."""
    raise GraphError("a loop is evaluated with its body")


# Not in the registry: they say how often something is computed, not what.
SLOT = Op(name="slot", spec=lambda: TensorSpec(()), kernel=Leaf(), reference=no_reference)
STACK = Op(
    name="stack_of",
    spec=_stack_spec,
    kernel=Part(),
    reference=no_reference,
    formula="a value of each step",
    color="#fef9c3",
)
LAST = Op(
    name="last_of",
    spec=_last_spec,
    kernel=Part(),
    reference=no_reference,
    formula="the state after the last step",
    color="#fef9c3",
)
TRAIL = Op(
    name="trail_of",
    spec=_trail_spec,
    kernel=Part(),
    reference=no_reference,
    formula="the state before each step, and after the last",
)
VIEW = Op(
    name="view",
    spec=_view_spec,
    kernel=Alias(),
    reference=lambda x, start, shape: (
        np.asarray(x[start:]).ravel()[: np.prod(shape)].reshape(shape)
    ),
    formula="x[start:stop] where it lies",
)


def offset_of(node: Node) -> DimLike:
    """How many bytes behind the beginning of its root's memory a view begins."""
    total: DimLike = 0
    while isinstance(node.op.kernel, Alias):
        if node.op is VIEW:
            rows = node.inputs[0].spec
            total = total + node.attrs["start"] * product(rows.shape[1:]) * rows.itemsize
        node = node.inputs[0]
    return total


def stacked(loop: Node, node: Node) -> Node:
    """The values of a node of the body at all steps, along a new first axis."""
    body: LoopBody = loop.attrs["body"]
    _, sequences, others = body.shares(loop.inputs)
    if node in body.slices:
        return sequences[body.slices.index(node)]  # type: ignore[no-any-return]
    if node in body.outers:
        other = others[body.outers.index(node)]
        return broadcast_to(other, (body.length, *node.spec.shape))
    if isinstance(node, Constant | Size):
        return broadcast_to(node, (body.length, *node.spec.shape))
    attrs = {"of": node, "_length": body.length}
    return apply(STACK, [loop], attrs, name=node.label)


def last(loop: Node, carry: int) -> Node:
    """A state after the last step."""
    slot = loop.attrs["body"].carries[carry]
    return apply(LAST, [loop], {"carry": carry, "_like": slot}, name=slot.label)


def with_bodies(nodes: Iterable[Node]) -> Iterator[Node]:
    """The nodes, and those in the bodies of the loops among them."""
    for node in nodes:
        yield node
        if isinstance(node.op.kernel, Loop):
            yield from with_bodies(node.attrs["body"].nodes)


def is_light(node: Node) -> bool:
    """Whether a node is as cheap to make anew as to keep: another view of what it reads."""
    kernel = node.op.kernel
    moved = isinstance(kernel, Alias) and not node.op.waits and len(node.inputs) == 1
    return moved or node.op in (TRANSPOSE, BROADCAST)


def first_drawn(node: Node) -> Node:
    """The node whose random numbers a gradient, or what is computed again, draws once more."""
    while (of := node.forward_of) is not None and of.attrs.get("stream") == node.attrs["stream"]:
        node = of
    return node


def _key(source: Node, stream: int) -> tuple[Op, TensorSpec, dict[str, Any]]:
    """What gives each step a generator of its own."""
    return GENERATORS, source.spec, {"shape": source.spec.shape, "stream": stream}


def loop_of(
    op: Op,
    carries: Sequence[tuple[Node, Node]],
    slices: Sequence[tuple[Node, Node]],
    nexts: Sequence[Node],
    results: Sequence[Node],
    length: DimLike,
    *,
    reverse: bool = False,
    born: int | None = None,
    name: str | None = None,
) -> tuple[Node, dict[Node, Node]]:
    """A loop around nodes that were declared with slots.

    Parameters
    ----------
    op
        The kind of loop.
    carries
        (slot, first state) pairs.
    slices
        (slot, sequence) pairs.
    nexts
        For each carry the state after a step.
    results
        Other nodes that are to be read.
    length
        Number of steps.
    reverse
        Whether the last slice comes first.
    born
        What is random and was declared after this serial is drawn anew at each step; None: nothing
        is, since a derivative draws what was drawn before.

    Returns
    -------
    (Node, dict)
        The loop, and for each of the given nodes the one that stands in its body.
    """
    made = _Enclosed([slot for slot, _ in (*carries, *slices)], length, born)
    for node in needed([*nexts, *results]):
        made.take(node)
    for node in (*nexts, *results):
        made.place(node)
    slots = tuple(slot for slot, _ in carries)
    drawn = list(made.drawn.values())
    outers = list(made.outers.items())
    new = made.new
    body = LoopBody(
        slots,
        (*(slot for slot, _ in slices), *(slot for slot, _ in drawn)),
        tuple(slot for _, slot in outers),
        tuple(new[node] for node in nexts),
        (),
        length,
        reverse,
    )
    inside = needed([*body.slots, *body.nexts, *(new[node] for node in results)])
    body = replace(body, nodes=tuple(inside))
    inputs = [value for _, value in (*carries, *slices)]
    inputs += [value for _, value in drawn]
    inputs += [value for value, _ in outers]
    return apply(op, inputs, {"body": body}, name=name), new


class _Enclosed:
    """The nodes of a body, apart from those around it.

    What does not depend on the step stays outside, and is computed once.
    """

    def __init__(self, slots: Sequence[Node], length: DimLike, born: int | None) -> None:
        self.new: dict[Node, Node] = {slot: slot for slot in slots}
        self.inside: set[Node] = set(slots)
        self.outers: dict[Node, Node] = {}
        self.drawn: dict[tuple[Node, int], tuple[Node, Node]] = {}  # by generator and stream
        self.length, self.born = length, born

    def take(self, node: Node) -> None:
        """Take a node in, if it belongs to the steps."""
        if node in self.inside:
            return
        source = self._drawn_from(node)
        if source is not None:
            self._draw(node, source)
        elif any(value in self.inside for value in node.inputs):
            if node.op is UPDATING:
                kind = "" if node.layer is None else node.layer.kind
                what = f"nn.{kind}" if kind.startswith("BatchNorm") else "gn.batch_norm"
                raise GraphError(
                    f"{what} (or gn.updating) moves running averages in training, which a scan "
                    f"cannot do at each step. Declared at {node.origin}. Use nn.LayerNorm in the "
                    "step, or normalise the whole sequence before the scan."
                )
            self.inside.add(node)
            self.new[node] = rebuilt(node, [self.place(value) for value in node.inputs])

    def _drawn_from(self, node: Node) -> Node | None:
        """The generator of a node that draws anew at each step."""
        if self.born is None or "stream" not in node.attrs:
            return None
        if first_drawn(node).serial <= self.born:
            return None
        source = node.inputs[-1]
        while isinstance(source.op.kernel, Alias):  # what is computed again waits for a cotangent
            source = source.inputs[0]
        return source

    def _draw(self, node: Node, source: Node) -> None:
        """What is random is drawn for all steps at once; what keeps none of it, a key a step."""
        first = first_drawn(node)
        kept = "shape" in first.attrs
        stream = first.attrs["stream"]
        if (source, stream) not in self.drawn:
            op, spec, attrs = (first.op, first.spec, first.attrs) if kept else _key(source, stream)
            slot = Slot(spec, first.label or op.name)
            attrs = {**attrs, "shape": (self.length, *attrs["shape"])}
            self.drawn[source, stream] = slot, apply(op, [source], attrs)
        drawn, _ = self.drawn[source, stream]
        others = [] if kept else [self.place(value) for value in node.inputs[:-1]]
        self.new[node] = drawn if kept else rebuilt(node, [*others, drawn])
        self.inside.add(node)

    def place(self, value: Node) -> Node:
        """What stands for a value in the body."""
        if value not in self.new:
            if isinstance(value, Constant | Size):
                self.new[value] = value
            elif is_light(value):
                self.new[value] = rebuilt(value, [self.place(v) for v in value.inputs])
            else:
                self.outers[value] = Slot(value.spec, value.label or value.op.name)
                self.new[value] = self.outers[value]
        return self.new[value]
