"""From wanted values and updates to steps.

A new value goes straight into its parameter's memory where that is safe, else by a copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from graphnn import passes, phases
from graphnn.barriers import Layout
from graphnn.errors import GraphError, PlanError, ShapeError
from graphnn.fusion import Group, fuse, is_computed, root
from graphnn.graph import Graph
from graphnn.loop_passes import settled
from graphnn.memory import lay_out
from graphnn.node import Input, Node, Parameter, apply
from graphnn.op import Leaf, Scalar
from graphnn.ops.movement.copy import COPY
from graphnn.ops.random.generator import Generator, advanced
from graphnn.schedule import Step, schedule, with_reuse

Updates: TypeAlias = "Iterable[tuple[Parameter, Node]] | Mapping[Parameter, Node]"


@dataclass(frozen=True)
class Program:
    """What a function runs, of any size.

    Parameters
    ----------
    results
        The nodes of the wanted values, after all rewrites.
    new
        From each new value to the parameter whose memory takes it.
    gradients
        The gradients that the updates read, in the order in which they lie in the arena.
    steps
        In the order in which they run.
    """

    results: tuple[Node, ...]
    new: Mapping[Node, Parameter]
    gradients: tuple[Node, ...]
    steps: tuple[Step, ...]

    @property
    def graph(self) -> Graph:
        """The nodes that the steps compute, and what they read."""
        return Graph([*self.results, *self.new])

    def watching(self, nodes: Sequence[Node]) -> Program:
        """What computes these nodes, each in memory of its own, and changes nothing."""
        steps, _ = scheduled(nodes, (), ())
        return Program(tuple(nodes), {}, (), tuple(with_reuse(steps, nodes)))

    def laid_out(
        self, sizes: Mapping[str, int], lanes: int, inputs: Sequence[Input] = ()
    ) -> Layout:
        """The arena for given sizes; ``inputs`` are those that are gathered into it."""
        kept = [n for n in self.results if is_computed(root(n)) and n not in self.new]
        return lay_out(self.steps, sizes, kept, self.gradients, inputs, lanes)


def program_of(
    outputs: Sequence[Node], updates: Sequence[tuple[Parameter, Node]], training: bool
) -> Program:
    """Choose the phase, simplify, schedule.

    Parameters
    ----------
    outputs
        Wanted values, as they were declared.
    updates
        Pairs (parameter, node of its new value). Training adds those of running averages and of
        the generator of random numbers.
    training
        The phase.
    """
    wanted = [*outputs, *(new for _, new in updates)]
    targets = [parameter for parameter, _ in updates]
    chosen = phases.in_phase(wanted, training)
    wanted = [*chosen.outputs, *chosen.updates.values()]
    targets += chosen.updates
    count = len(outputs)
    checked_updates(zip(targets, wanted[count:], strict=True))
    for source in Graph(wanted).parameters if training else ():
        if isinstance(source, Generator) and source not in targets:
            wanted.append(advanced(source))
            targets.append(source)
    wanted = settled(passes.with_updates(passes.simplified(wanted), count))
    # What is returned is the old value, like all that is computed from it.
    results = [apply(COPY, [node]) if root(node) in targets else node for node in wanted[:count]]
    steps, new = scheduled(results, targets, wanted[count:])
    gradients = gradients_of(steps, targets)
    steps = with_reuse(steps, [*results, *gradients])
    return Program(tuple(results), new, tuple(gradients), tuple(steps))


def _no_pairs(given: object) -> GraphError:
    fix = "Leave them out where there are none."
    if hasattr(given, "updates"):
        fix = "Write updates=optimizer.updates(loss, parameters)."
    return GraphError(f"updates are pairs (Parameter, Node), or a dict; got {given!r}. {fix}")


def checked_updates(updates: Updates) -> tuple[tuple[Parameter, Node], ...]:
    """The pairs (parameter, new value), if each fits."""
    if not isinstance(updates, Iterable):
        raise _no_pairs(updates)
    pairs = tuple(updates.items() if isinstance(updates, Mapping) else updates)
    seen: set[Node] = set()
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise GraphError(f"an update is a pair (Parameter, Node); got {pair!r}")
        target, new = pair
        if not isinstance(target, Parameter) or not isinstance(new, Node):
            raise GraphError(f"an update is a pair (Parameter, Node); got ({target!r}, {new!r})")
        if target in seen:
            raise GraphError(f"{target.name} is updated twice; declared at {target.origin}")
        if target.spec != new.spec:
            raise ShapeError(
                f"the update of {target.name} must be {target.spec}; got {new.spec} "
                f"({new.name}, declared at {new.origin})"
            )
        seen.add(target)
    return pairs


def scheduled(
    results: Sequence[Node], targets: Sequence[Parameter], new: Sequence[Node]
) -> tuple[list[Step], dict[Node, Parameter]]:
    """The steps, and which computed value lies in which parameter's memory."""
    first = {node: i for i, node in reversed(list(enumerate(new)))}
    # A value that is given, a reshape, or one that two parameters take, has no kernel to aim.
    copied = {i for i, node in enumerate(new) if not is_computed(node) or first[node] < i}
    apart: set[int] = set()  # copies that no other kernel may make
    while True:
        nodes = [_copy_of(node, i in copied) for i, node in enumerate(new)]
        groups = fuse([*results, *nodes], [nodes[i] for i in apart])
        maker = {node: group for group in groups for node in group.nodes}
        unsafe = {
            i
            for i, (node, target) in enumerate(zip(nodes, targets, strict=True))
            if i not in apart and not _safe_in_place(maker[node], node, target)
        }
        if unsafe:
            apart |= unsafe & copied
            copied |= unsafe
            continue
        where = dict(zip(nodes, targets, strict=True))
        try:
            return schedule(groups, where), where
        except PlanError:
            if len(copied) == len(new):
                raise
            copied = set(range(len(new)))


def _copy_of(node: Node, copied: bool) -> Node:
    if not copied:
        return node
    made = apply(COPY, [node])
    return apply(COPY, [made]) if isinstance(root(node).op.kernel, Leaf) else made


def _safe_in_place(group: Group, node: Node, target: Parameter) -> bool:
    """Whether the kernel may write over the parameter while it reads it."""
    if node not in group.outputs:
        return False
    reads = any(root(value) is target for value in group.inputs)
    walked = node in group.stores or any(root(load.inputs[0]) is target for load in group.loads)
    elementwise = isinstance(group.last.op.kernel, Scalar)
    return not reads or (elementwise and not walked)


def gradients_of(steps: Sequence[Step], targets: Sequence[Parameter]) -> list[Node]:
    """The gradients that the update steps of trainable parameters read."""
    trained = {p for p in targets if p.trainable}
    found: dict[Node, None] = {}
    for step in steps:
        if not any(target in trained for target in step.targets):
            continue
        shapes = {target.spec.shape for target in step.targets}
        for value in step.group.inputs:
            source = root(value)
            if is_computed(source) and source.role == "backward" and value.spec.shape in shapes:
                found[source] = None
    return list(found)
