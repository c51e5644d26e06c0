"""A laid-out arena, and where threads must wait for each other in it."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from graphnn.node import Node
from graphnn.schedule import Access, Inner, Step, first_touched
from graphnn.spec import DimLike

NO_NAMES: Mapping[Node, Node] = {}


@dataclass(frozen=True)
class Buffer:
    """A value's place in the arena, and the steps during which it must keep it.

    Parameters
    ----------
    nodes
        The values that live there, one after the other; none where a step's lanes work: scratch.
    nbytes
        Its size.
    first, last
        The first and the last step that touch it.
    parts
        Into how many parts every step that touches it splits it; None if they differ.
    offset
        Bytes from the start of the arena.
    """

    nodes: tuple[Node, ...]
    nbytes: int
    first: int
    last: int
    parts: DimLike | None
    offset: int = -1

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + self.nbytes


@dataclass(frozen=True)
class Layout:
    """The arena.

    Parameters
    ----------
    buffers
        In the order of their first step.
    nbytes
        The planned peak: size of the arena.
    total
        What the buffers would need if each had memory of its own.
    gradient_bytes
        Length of the slice at the front that holds the gradients of the parameters.
    barriers
        For each step whether all threads wait for each other before it.
    lane_bytes
        How far the scratch of one lane lies from that of the next, in every step.
    inner
        For each step that is a loop the layout of its body, within the step's scratch.
    """

    buffers: tuple[Buffer, ...]
    nbytes: int
    total: int
    gradient_bytes: int
    barriers: tuple[bool, ...]
    lane_bytes: int = 0
    inner: Mapping[int, Layout] = field(default_factory=dict)

    @cached_property
    def scratch(self) -> dict[int, Buffer]:
        """Where the lanes of a step work, for each step that needs such a place."""
        return {buffer.first: buffer for buffer in self.buffers if not buffer.nodes}

    @cached_property
    def offsets(self) -> dict[Node, int]:
        """Where each value begins."""
        return {node: buffer.offset for buffer in self.buffers for node in buffer.nodes}


# Iterations of a loop that are looked at: what a state is called comes back after two, and what
# meets at a distance of more than that meets after two less.
_ROUNDS = 4
# For each round of some steps what else some values are called in it.
Rounds: TypeAlias = "Sequence[Mapping[Node, Node]]"
ONCE: Rounds = (NO_NAMES,)


def rounds_of(inner: Inner) -> Rounds:
    """A loop's iterations, as far as they differ."""
    return [inner.turns if turn % 2 else NO_NAMES for turn in range(_ROUNDS)]


def barriers_of(steps: Sequence[Step], layout: Layout, rounds: Rounds = ONCE) -> tuple[bool, ...]:
    """Where threads must wait in every round, given what shares memory with what."""
    since = _Since(steps, layout)
    waits = [False] * len(steps)
    for names in rounds:
        for i, step in enumerate(steps):
            touches = since.touches(i, step, names)
            waits[i] = waits[i] or any(map(since.meets, touches))
            if waits[i]:
                since.forget()
            since.note(touches)
    return tuple(waits)


def races(steps: Sequence[Step], layout: Layout, rounds: Rounds = ONCE) -> list[int]:
    """Steps in which threads could meet although no barrier stands: none, in a sound layout."""
    since = _Since(steps, layout)
    found = []
    for names in rounds:
        for i, (step, barrier) in enumerate(zip(steps, layout.barriers, strict=True)):
            if barrier:
                since.forget()
            touches = since.touches(i, step, names)
            if any(map(since.meets, touches)):
                found.append(i)
            since.note(touches)
    return found


Span: TypeAlias = tuple[int, int]
Place: TypeAlias = "Span | Node"


@dataclass(frozen=True)
class _Touch:
    """How a step touches a place: a value's, or its scratch, of which a lane has its own part."""

    place: Place
    parts: DimLike | None
    writes: bool


class _Since:
    """What was touched since the last barrier, by place: few places serve many values."""

    def __init__(self, steps: Sequence[Step], layout: Layout) -> None:
        self.spans: dict[Node, Span] = {
            node: (buffer.offset, buffer.end) for buffer in layout.buffers for node in buffer.nodes
        }
        self.scratch = layout.scratch
        self.uses: dict[Place, set[tuple[DimLike | None, bool]]] = {}
        self.sorted: list[Span] = []  # the spans among them
        self.longest = 0
        first = [access for uses in first_touched(steps).values() for access in uses]
        self.note([self._touch(access, {}) for access in first if access.node in self.spans])

    def _touch(self, access: Access, names: Mapping[Node, Node]) -> _Touch:
        node = names.get(access.node, access.node)
        return _Touch(self.spans.get(node, node), access.parts, access.writes)

    def touches(self, i: int, step: Step, names: Mapping[Node, Node]) -> list[_Touch]:
        """Everything that step i touches; ``names``: what else some values are called."""
        found = [self._touch(access, names) for access in step.accesses]
        if i in self.scratch:
            own = self.scratch[i]
            found.append(_Touch((own.offset, own.end), own.parts, writes=True))
        return found

    def forget(self) -> None:
        """A barrier stands here."""
        self.uses.clear()
        self.sorted.clear()
        self.longest = 0

    def note(self, touches: Sequence[_Touch]) -> None:
        """These were touched."""
        for made in touches:
            place = made.place
            if place not in self.uses and isinstance(place, tuple):
                insort(self.sorted, place)
                self.longest = max(self.longest, place[1] - place[0])
            self.uses.setdefault(place, set()).add((made.parts, made.writes))

    def meets(self, one: _Touch) -> bool:
        """Whether a thread could meet here what another one did."""
        for parts, writes in self.uses.get(one.place, ()):
            if (writes or one.writes) and (one.parts is None or one.parts != parts):
                return True
        if not isinstance(one.place, tuple):
            return False
        return any(
            one.writes or any(writes for _, writes in self.uses[other])
            for other in self._overlapping(one.place)
        )

    def _overlapping(self, span: Span) -> list[Span]:
        """The other spans that share a byte with one: those that begin in it, or not far before."""
        start, end = span
        low = bisect_left(self.sorted, (start - self.longest, 0))
        high = bisect_left(self.sorted, (end, 0))
        near = self.sorted[low:high]
        return [other for other in near if other != span and start < other[1]]


def overlaps(layout: Layout) -> list[tuple[Buffer, Buffer]]:
    """Pairs of buffers that are alive in one step and share a byte: none, in a sound layout."""
    wrong = []
    for i, a in enumerate(layout.buffers):
        for b in layout.buffers[i + 1 :]:
            alive = a.first <= b.last and b.first <= a.last
            if alive and a.offset < b.end and b.offset < a.end and a.nbytes and b.nbytes:
                wrong.append((a, b))
    return wrong
