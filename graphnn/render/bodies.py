"""What the bodies of loops compute at each step: asked of the kernels, as more stacks to keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphnn.loop import STACK, LoopBody
from graphnn.node import Constant, Node, apply
from graphnn.op import Leaf, Loop, Part
from graphnn.ops.movement.copy import COPY
from graphnn.render.document.level import body_graph
from graphnn.schedule import Inner, Step

Array = NDArray[np.generic]
Values = Mapping[Node, Array]


@dataclass(frozen=True)
class Watched:
    """A loop, and the parts in which the values of its body are kept.

    Parameters
    ----------
    inner
        The loop.
    stacks
        From each computed node of the body to the part that keeps its values at all steps. Loops
        within it, and what they leave behind, are not looked at.
    """

    inner: Inner
    stacks: Mapping[Node, Node]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Those of the body, as they are described."""
        return body_graph(self.inner).nodes

    def values(self, known: Values) -> Iterator[tuple[Node, Array]]:
        """The values of the body's nodes, each with a first axis of the loop's steps.

        Those that come from outside and stay the same are left out.

        Parameters
        ----------
        known
            Those of the nodes around the loop, and of the parts.
        """
        found = {node: known[part] for node, part in self.stacks.items()}
        found |= self._slots(known, found)
        for node in self.nodes:
            source = node.inputs[0] if node not in found and node.op is COPY else node
            if source in found:
                yield node, found[source]

    def _slots(self, known: Values, computed: Values) -> dict[Node, Array]:
        loop, body = self.inner.loop, _body(self.inner)
        states, sequences, _ = body.shares(loop.inputs)
        found: dict[Node, Array] = {}
        for slot, value in zip(body.slices, sequences, strict=True):
            if value in known:
                found[slot] = known[value]
        for slot, first, after in zip(body.carries, states, body.nexts, strict=True):
            start = first.array if isinstance(first, Constant) else known.get(first)
            if after in computed and start is not None:
                later = computed[after]
                start = np.broadcast_to(start, later.shape[1:])[None]
                order = (later[1:], start) if body.reverse else (start, later[:-1])
                found[slot] = np.concatenate(order)
        return found


def watched_loops(steps: Sequence[Step]) -> list[Watched]:
    """The loops that a program runs; not those within loops."""
    return [_watched(step.inner) for step in steps if step.inner is not None]


def _watched(inner: Inner) -> Watched:
    body = _body(inner)
    kept = {part.attrs["of"]: part for part in inner.stacks.values()}
    wanted = [node for node in body.nodes if not isinstance(node.op.kernel, Leaf | Loop | Part)]
    for node in wanted:
        if node not in kept:
            kept[node] = apply(STACK, [inner.loop], {"of": node, "_length": body.length})
    return Watched(inner, {node: kept[node] for node in wanted})


def _body(inner: Inner) -> LoopBody:
    body: LoopBody = inner.loop.attrs["body"]
    return body
