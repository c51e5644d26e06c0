"""The scheduler: one order for forward, reverse and update, and who waits for whom.

A step's work is split into parts along its leading axis, and each thread takes a run of parts.
Steps that hand a thread its own parts on need no barrier between them; a step that reads what other
threads wrote waits for them. Among the steps that could run next, the scheduler takes one that
need not wait.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import networkx as nx

from graphnn.errors import PlanError
from graphnn.fusion import Group, awaited, fuse, is_computed, root
from graphnn.loop import LAST, STACK, TRAIL, LoopBody
from graphnn.loop_passes import settled
from graphnn.node import Input, Node, Parameter, apply, rebuilt
from graphnn.op import (
    Leaf,
    Loop,
    Scalar,
)
from graphnn.ops.movement.copy import COPY
from graphnn.parts import leading, own_part, parts_of, scratch_of, writes_across
from graphnn.spec import DimLike


@dataclass(frozen=True)
class Access:
    """How a step touches a value.

    Parameters
    ----------
    node
        The value whose memory is touched.
    parts
        Number of parts it is split into, of which a thread touches only its own; None: any thread
        may touch all of it.
    writes
        Whether it is written.
    """

    node: Node
    parts: DimLike | None
    writes: bool = False


@dataclass(frozen=True)
class Step:
    """One kernel call of the schedule.

    Parameters
    ----------
    group
        The nodes that it computes.
    parts
        Into how many parts the work can be split.
    accesses
        What it reads and writes, and which parts.
    targets
        For each output the value whose memory takes it: itself, or the parameter that it updates.
    over
        For each output the input that it is written over, an element at a time, or None.
    scratch
        Bytes that each lane needs for itself while the step runs.
    inner
        Of a loop what it runs at each of its own steps.
    """

    group: Group
    parts: DimLike
    accesses: tuple[Access, ...]
    targets: tuple[Node, ...]
    over: tuple[Node | None, ...] = ()
    scratch: DimLike = 0
    inner: Inner | None = None


@dataclass(frozen=True)
class Inner:
    """The schedule of a loop's body.

    Parameters
    ----------
    loop
        The loop.
    steps
        What one iteration runs.
    nexts
        For each carry the computed value that is its next state.
    stacks
        Values of the body that are written to their place in a part of the loop: from each to the
        part.
    trails
        For each carry the part that keeps all its states, or None: two places taken in turn.
    lasts
        For each carry the part that takes the last state, or None.
    """

    loop: Node
    steps: tuple[Step, ...]
    nexts: tuple[Node, ...]
    stacks: Mapping[Node, Node]
    trails: tuple[Node | None, ...]
    lasts: tuple[Node | None, ...]

    @property
    def body(self) -> LoopBody:
        """The nodes that the steps compute."""
        body: LoopBody = self.loop.attrs["body"]
        return body

    @property
    def elsewhere(self) -> set[Node]:
        """Values that have a place outside of the body's own memory."""
        kept = {
            new for new, trail in zip(self.nexts, self.trails, strict=True) if trail is not None
        }
        return kept | set(self.stacks)

    @property
    def rings(self) -> list[Node]:
        """States of which only the last two are kept."""
        return [new for new, trail in zip(self.nexts, self.trails, strict=True) if trail is None]

    @property
    def turns(self) -> dict[Node, Node]:
        """What the next iteration calls a state that this one calls otherwise."""
        pairs = list(zip(self.body.carries, self.nexts, strict=True))
        return dict(pairs) | {new: slot for slot, new in pairs}


def step_of(group: Group, targets: Mapping[Node, Node]) -> Step:
    """The step for a group whose outputs go to ``targets`` (by default to themselves)."""
    parts = parts_of(group)
    reads = [
        Access(targets.get(root(value), root(value)), parts if own_part(group, value) else None)
        for value in group.inputs
    ]
    into = tuple(targets.get(node, node) for node in group.outputs)
    writes = [
        Access(target, None if writes_across(group, node) else parts, writes=True)
        for node, target in zip(group.outputs, into, strict=True)
    ]
    inner = inner_of(group) if isinstance(group.last.op.kernel, Loop) else None
    return Step(group, parts, (*reads, *writes), into, scratch=scratch_of(group.last), inner=inner)


def inner_of(group: Group) -> Inner:
    """The schedule of the body of a loop, of which some parts are read."""
    loop, *parts = group.nodes
    body: LoopBody = loop.attrs["body"]
    stacks = [part for part in parts if part.op is STACK]
    found = settled([*(part.attrs["of"] for part in stacks), *body.nexts])
    owned: dict[Node, None] = {}
    for node in found:
        # Each has a place of its own, into which a kernel writes it.
        own = node if is_computed(node) and node not in owned else _copy_of(node)
        owned[own] = None
    values = list(owned)
    steps = [step_of(one, {}) for one in fuse(values)]
    ordered = with_reuse(_ordered(steps, dependencies(steps)), values)
    by_carry = {
        op: {part.attrs["carry"]: part for part in parts if part.op is op} for op in (TRAIL, LAST)
    }
    carries = range(len(body.carries))
    return Inner(
        loop,
        tuple(ordered),
        tuple(values[len(stacks) :]),
        dict(zip(values, stacks, strict=False)),
        tuple(by_carry[TRAIL].get(i) for i in carries),
        tuple(by_carry[LAST].get(i) for i in carries),
    )


def _copy_of(node: Node) -> Node:
    made = apply(COPY, [node])
    return rebuilt(made, made.inputs, like=node)


def schedule(groups: Sequence[Group], updates: Mapping[Node, Node]) -> list[Step]:
    """All steps in the order in which they run.

    Parameters
    ----------
    groups
        The kernels.
    updates
        From a new value to the parameter that takes it, where it is written straight into the
        parameter's memory: everything that reads the old value runs before.

    Raises
    ------
    PlanError
        If there is no such order; names the cycle.
    """
    steps = [step_of(group, updates) for group in groups]
    return _ordered(steps, dependencies(steps))


def with_reuse(steps: Sequence[Step], keep: Iterable[Node]) -> list[Step]:
    """Let elementwise steps write over inputs that nobody reads again, and over what they update.

    Parameters
    ----------
    steps
        In the order in which they run.
    keep
        Values that must last to the end.
    """
    kept = {root(node) for node in keep}
    last: dict[Node, int] = {}
    parts: dict[Node, set[DimLike | None]] = {}
    for i, step in enumerate(steps):
        for access in step.accesses:
            last[access.node] = i
            parts.setdefault(access.node, set()).add(access.parts)

    def ends(node: Node, i: int, step: Step) -> bool:
        """Whether a value's life ends at step i, each thread having touched its own part."""
        # A value that lives in a parameter's memory is touched under the parameter's name.
        lasts = isinstance(node.op.kernel, Leaf) or node in kept or node not in last
        return not lasts and last[node] == i and parts[node] == {step.parts}

    made = []
    for i, step in enumerate(steps):
        seen = Counter(root(v) for v in step.group.inputs)
        # Two views of one memory are two pointers: nothing is written over what is read twice.
        free = [v for v in step.group.inputs if seen[root(v)] == 1 and ends(root(v), i, step)]
        free = [v for v in free if v.spec.nbytes == root(v).spec.nbytes]  # not a view of a part
        made.append(replace(step, over=_overwritten(step, free, kept)))
    return made


def _overwritten(step: Step, free: list[Node], kept: set[Node]) -> tuple[Node | None, ...]:
    """For each output the input that it takes the place of."""
    if not isinstance(step.group.last.op.kernel, Scalar):
        return (None,) * len(step.targets)
    # Elements that a load reads are needed in other places than those that are written.
    walked = {root(node.inputs[0]) for node in step.group.loads}
    free = [value for value in free if root(value) not in walked]
    chosen: list[Node | None] = []
    for output, target in zip(step.group.outputs, step.targets, strict=True):
        if output in step.group.stores:
            candidates = []
        elif target is not output:
            candidates = [v for v in step.group.inputs if root(v) is target]
        else:
            candidates = [] if output in kept else free
        match = next((v for v in candidates if v.spec == output.spec), None)
        if target is output and match is not None:
            free.remove(match)
        chosen.append(match)
    return tuple(chosen)


def dependencies(steps: Sequence[Step]) -> nx.DiGraph[int]:
    """Which step must come before which: write before read, read before overwrite, and waits."""
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(steps)))
    maker = {node: i for i, step in enumerate(steps) for node in step.group.outputs}
    overwrites: dict[Node, int] = {
        target: i
        for i, step in enumerate(steps)
        for target in step.targets
        if isinstance(target, Parameter)
    }
    for i, step in enumerate(steps):
        for value in step.group.inputs:
            source = root(value)
            if source in maker:
                graph.add_edge(maker[source], i, kind="read after write")
            if source in overwrites and overwrites[source] != i:
                graph.add_edge(i, overwrites[source], kind="write after read")
            for other in awaited(value):
                if other in maker and maker[other] != i:
                    graph.add_edge(maker[other], i, kind="wait")
    return graph


Touched: TypeAlias = dict[Node, list[Access]]


def _ordered(steps: Sequence[Step], graph: nx.DiGraph[int]) -> list[Step]:
    waiting = {i: graph.in_degree(i) for i in graph}
    ready = sorted(i for i, count in waiting.items() if count == 0)
    order: list[Step] = []
    touched = first_touched(steps)
    blocked: set[int] = set()  # until the next barrier: what was touched only grows
    while ready:
        free = (i for i in ready if i not in blocked)
        chosen = next((i for i in free if not _blocks(i, steps[i], touched, blocked)), None)
        if chosen is None:
            chosen, touched, blocked = ready[0], {}, set()
        ready.remove(chosen)
        order.append(steps[chosen])
        touch(touched, steps[chosen])
        for after in graph.successors(chosen):
            waiting[after] -= 1
            if waiting[after] == 0:
                insort(ready, after)
    if len(order) < len(steps):
        cycle = nx.find_cycle(graph)
        names = " -> ".join(steps[i].group.name for i, *_ in cycle)
        raise PlanError(f"no order exists in which these steps can run: {names}")
    return order


def _blocks(number: int, step: Step, touched: Touched, blocked: set[int]) -> bool:
    """Whether a step must wait, which is noted."""
    if must_wait(step, touched):
        blocked.add(number)
    return number in blocked


def first_touched(steps: Sequence[Step]) -> Touched:
    """What was written just before the first step: each batch's inputs, by rows."""
    inputs = dict.fromkeys(
        access.node for step in steps for access in step.accesses if isinstance(access.node, Input)
    )
    return {node: [Access(node, leading(node.spec.shape)[1], writes=True)] for node in inputs}


def touch(touched: Touched, step: Step) -> None:
    """Note what a step reads and writes."""
    for access in step.accesses:
        touched.setdefault(access.node, []).append(access)


def must_wait(step: Step, touched: Touched) -> bool:
    """Whether a step could meet what other threads did since the last barrier."""
    return any(
        conflicting(access, other)
        for access in step.accesses
        for other in touched.get(access.node, ())
    )


def conflicting(a: Access, b: Access) -> bool:
    """Whether two accesses of one value may meet in different threads."""
    if not (a.writes or b.writes):
        return False
    return a.parts is None or a.parts != b.parts
