"""Derivatives of loops: backpropagation through time, and tangents that run with the steps.

The reverse pass of a loop is a loop too, in the other direction (Werbos, *Backpropagation through
time: what it does and how to do it*, Proc. IEEE 1990). What its steps need of the forward ones is
stacked; a gradient that is a product, or a sum, at every step becomes one product, or sum, over
all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from graphnn.autodiff import finished, pull_back, push_forward, zeros
from graphnn.checkpoint import AFTER
from graphnn.fusion import root
from graphnn.loop import (
    LAST,
    LoopBody,
    Slot,
    is_light,
    last,
    loop_flops,
    loop_of,
    loop_spec,
    no_reference,
    stacked,
)
from graphnn.node import Constant, Node, Size, apply, rebuilt
from graphnn.op import Loop, Op, Part
from graphnn.ops.elementwise.arithmetic import accumulate
from graphnn.ops.linalg.matmul import MATMUL, product_of
from graphnn.ops.movement.reshape import RESHAPE, reshape
from graphnn.ops.movement.transpose import TRANSPOSE, transpose
from graphnn.ops.reduction.reduce import sum as sum_over
from graphnn.spec import FLOATS

# Reverse mode.


def _parts_vjp(
    loop: Node, arrived: Mapping[Node, Node], wanted: Sequence[bool]
) -> list[Node | None]:
    """Backpropagation through time: the loop that runs the steps in reverse."""
    body: LoopBody = loop.attrs["body"]
    source = _again(loop, list(arrived.values())) if body.again else loop
    states, sequences, others = (
        [slot if wish and slot.dtype in FLOATS else None for slot, wish in zip(a, b, strict=True)]
        for a, b in zip(body.shares(body.slots), body.shares(list(wanted)), strict=True)
    )
    ends = {part.attrs["carry"]: dy for part, dy in arrived.items() if part.op is LAST}
    along = [(part.attrs["of"], dy) for part, dy in arrived.items() if part.op is not LAST]
    slices = [(_slot(node), dy) for node, dy in along]
    dslots: dict[int, Node] = {}
    found: dict[Node, Node] = {}
    live = set(ends)
    while True:  # states that the cotangents of others flow into join them
        for i in live - set(dslots):
            dslots[i] = _slot(body.carries[i])
        seeds: dict[Node, Node] = {}
        here = [(body.nexts[i], slot) for i, slot in dslots.items()]
        for node, slot in [*here, *((n, s) for (n, _), (s, _) in zip(along, slices, strict=True))]:
            seeds[node] = accumulate(seeds[node], slot) if node in seeds else slot
        floats = [slot for slot in body.carries if slot.dtype in FLOATS]
        ask = [*floats, *(slot for slot in (*sequences, *others) if slot is not None)]
        found = pull_back(seeds, ask)
        more = {i for i, slot in enumerate(body.carries) if slot in found} - live
        if not more:
            break
        live |= more
    wishes = [*states, *sequences, *others]
    cotangents = [None if slot is None else finished(slot, found.get(slot)) for slot in wishes]
    flowing = {i: _flowing(body.carries[i], found) for i in dslots}
    kept = _Kept(body, source)
    first, second = len(body.carries), len(body.carries) + len(body.slices)
    shares = [None if node is None else kept.inside(node) for node in cotangents[first:second]]
    sums = [None if node is None else _Sum(kept.inside(node)) for node in cotangents[second:]]
    back = {i: kept.inside(node) for i, node in flowing.items()}
    carries = [(dslots[i], _first(ends.get(i), dslots[i])) for i in back]
    nexts = list(back.values())
    for one in sums:
        if one is not None and one.rest is not None:
            slot = _slot(one.rest)
            one.place = len(carries)
            carries.append((slot, _first(None, slot)))
            nexts.append(accumulate(slot, one.rest))
    results = [node for node in shares if node is not None]
    results += [node for one in sums if one is not None for node in one.stacked]
    made, placed = loop_of(
        SCAN,
        carries,
        [*slices, *kept.slices.items()],
        nexts,
        results,
        body.length,
        reverse=not body.reverse,
        name=loop.label,
    )
    order = list(back)
    starts = [
        last(made, order.index(i)) if slot is not None and i in back else None
        for i, slot in enumerate(states)
    ]
    stacks = [None if node is None else stacked(made, placed[node]) for node in shares]
    totals = [None if one is None else one.total(made, placed) for one in sums]
    return [*starts, *stacks, *totals]


def _slot(node: Node) -> Node:
    return Slot(node.spec, f"d{node.label or node.op.name}")


def _first(value: Node | None, slot: Node) -> Node:
    return zeros(slot.spec.shape, slot.dtype) if value is None else value


def _flowing(slot: Node, found: Mapping[Node, Node]) -> Node:
    cotangent = finished(slot, found.get(slot))
    return zeros(slot.spec.shape, slot.dtype) if cotangent is None else cotangent


def _again(loop: Node, cotangents: Sequence[Node]) -> Node:
    """The loop once more, when the cotangents are there."""
    inputs = [apply(AFTER, [value, *cotangents]) for value in loop.inputs]
    body = replace(loop.attrs["body"], again=False)
    return apply(SCAN, inputs, {"body": body}, name=loop.label)


class _Kept:
    """What a derivative's steps read of the steps that it is taken of: slices of their stacks."""

    def __init__(self, body: LoopBody, source: Node) -> None:
        self.source = source
        self.primal = set(body.nodes)
        self.new: dict[Node, Node] = {}
        self.slices: dict[Node, Node] = {}  # from a slot to the stack that it is a slice of
        _, _, others = body.shares(source.inputs)
        self.new.update(zip(body.outers, others, strict=True))

    def inside(self, node: Node) -> Node:
        """The node, with slices in the place of what the other steps computed."""
        for one in self._between(node):
            self.new[one] = (
                self._read(one)
                if self._is_theirs(one)
                else rebuilt(one, [self.new[value] for value in one.inputs])
            )
        return self.new[node]

    def _is_theirs(self, node: Node) -> bool:
        """Whether the other steps compute it; also what is now read of a loop of theirs."""
        if isinstance(node.op.kernel, Part):
            return node.inputs[0] in self.primal
        return node in self.primal

    def _between(self, node: Node) -> list[Node]:
        """What is new, and the first of the other steps' nodes behind it."""
        seen: set[Node] = set()
        stack = [node]
        while stack:
            one = stack.pop()
            if one in seen or one in self.new:
                continue
            seen.add(one)
            if not self._is_theirs(one) or is_light(one):
                stack.extend(one.inputs)
        return sorted(seen, key=lambda one: one.serial)

    def _read(self, node: Node) -> Node:
        if isinstance(node, Constant | Size):
            return node
        if is_light(node):
            return rebuilt(node, [self.new[value] for value in node.inputs])
        slot = Slot(node.spec, node.label or node.op.name)
        self.slices[slot] = stacked(self.source, node)
        return slot


class _Sum:
    """The sum over all steps of a cotangent: products and sums over all of them, and the rest."""

    def __init__(self, node: Node) -> None:
        self.whole: list[tuple[Callable[..., Node], list[Node]]] = []
        self.rest: Node | None = None
        self.place = -1
        for term in _terms(node):
            found = _over_all(term)
            if found is None:
                self.rest = term if self.rest is None else accumulate(self.rest, term)
            else:
                self.whole.append(found)

    @property
    def stacked(self) -> list[Node]:
        """What is read of every step."""
        return [node for _, nodes in self.whole for node in nodes]

    def total(self, loop: Node, placed: Mapping[Node, Node]) -> Node:
        """The sum, outside of the loop."""
        parts = [
            combine(*(stacked(loop, placed[node]) for node in nodes))
            for combine, nodes in self.whole
        ]
        if self.rest is not None:
            parts.append(last(loop, self.place))
        total, *more = parts
        for part in more:
            total = accumulate(total, part)
        return total


def _terms(node: Node) -> list[Node]:
    if node.op.name in ("accumulate", "add") and all(v.spec == node.spec for v in node.inputs):
        return [term for value in node.inputs for term in _terms(value)]
    return [node]


def _over_all(node: Node) -> tuple[Callable[..., Node], list[Node]] | None:
    """How the sum over all steps of a node is made of the stacks of others, if it can be.

    A product AᵀB of every step is one product of all their rows; what is linear waits.
    """
    if node.op is MATMUL and node.attrs.get("transpose_a") and not node.attrs.get("transpose_b"):
        a, b = node.inputs
        # What stacks the steps of a loop in this one is large enough by itself.
        again = any(isinstance(root(value).op.kernel, Part) for value in node.inputs)
        if a.ndim == b.ndim == 2 and not again:
            return lambda a, b: product_of(_rows(a), _rows(b), True, False), [a, b]
    if node.op.name == "sum" and not isinstance(root(node.inputs[0]).op.kernel, Part):
        (x,) = node.inputs
        axes = (0, *(axis + 1 for axis in node.attrs["axes"]))
        return lambda x: reshape(sum_over(x, axes), node.spec.shape), [x]
    if node.op is RESHAPE or node.op is TRANSPOSE:
        found = _over_all(node.inputs[0])
        if found is not None:
            combine, stacks = found
            if node.op is RESHAPE:
                return lambda *values: reshape(combine(*values), node.spec.shape), stacks
            return lambda *values: transpose(combine(*values), node.attrs["axes"]), stacks
    return None


def _rows(stack: Node) -> Node:
    return reshape(stack, (stack.spec.shape[0] * stack.spec.shape[1], stack.spec.shape[2]))


# Forward mode.


def _parts_jvp(
    loop: Node, tangents: Sequence[Node | None], parts: Sequence[Node]
) -> dict[Node, Node]:
    """The loop of the tangents, in the direction of the steps."""
    body: LoopBody = loop.attrs["body"]
    states, sequences, others = body.shares(tangents)
    moved: dict[Node, Node] = {}
    slices = []
    for slot, tangent in zip(body.slices, sequences, strict=True):
        if tangent is not None:
            moved[slot] = _slot(slot)
            slices.append((moved[slot], tangent))
    moved.update((s, t) for s, t in zip(body.outers, others, strict=True) if t is not None)
    live = {i for i, tangent in enumerate(states) if tangent is not None}
    dslots = {i: _slot(slot) for i, slot in enumerate(body.carries)}
    of = [part.attrs["of"] for part in parts if part.op is not LAST]
    while True:  # states that tangents of others flow into join them
        found = {**moved, **{body.carries[i]: dslots[i] for i in live}}
        push_forward([*body.nexts, *of], found)
        more = {i for i, node in enumerate(body.nexts) if node in found} - live
        if not more:
            break
        live |= more
    kept = _Kept(body, loop)
    for node in moved:  # stays as it is: a slice, or a value from outside
        kept.new.setdefault(found[node], found[node])
    order = sorted(live)
    nexts = []
    for i in order:
        slot = body.carries[i]
        new = found.get(body.nexts[i])
        nexts.append(zeros(slot.spec.shape, slot.dtype) if new is None else kept.inside(new))
    results = {node: kept.inside(found[node]) for node in of if node in found}
    carries = [(dslots[i], _first(states[i], dslots[i])) for i in order]
    made, placed = loop_of(
        SCAN,
        carries,
        [*slices, *kept.slices.items()],
        nexts,
        list(results.values()),
        body.length,
        reverse=body.reverse,
        name=loop.label,
    )
    pushed: dict[Node, Node] = {}
    for part in parts:
        if part.op is LAST and part.attrs["carry"] in live:
            pushed[part] = last(made, order.index(part.attrs["carry"]))
        elif part.op is not LAST and part.attrs["of"] in results:
            pushed[part] = stacked(made, placed[results[part.attrs["of"]]])
    return pushed


# Not in the registry: it says how often something is computed, not what.
SCAN = Op(
    name="scan",
    spec=loop_spec,
    kernel=Loop(),
    reference=no_reference,
    parts_vjp=_parts_vjp,
    parts_jvp=_parts_jvp,
    flops=loop_flops,
    formula="sₜ₊₁, yₜ = step(sₜ, xₜ)",
    color="#fef9c3",
)
