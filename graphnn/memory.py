"""The memory planner: every value gets its place in one arena before anything runs.

Values whose lives do not meet share memory; an elementwise step writes over an input that nobody
reads again; gradients of parameters lie together at the front, so that they can be summed over
processes in one call. Sharing never costs a barrier that the schedule does not have already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from graphnn.barriers import Buffer, Layout, barriers_of, rounds_of
from graphnn.fusion import root
from graphnn.node import Node, Parameter
from graphnn.op import Leaf
from graphnn.schedule import Access, Inner, Step, first_touched, must_wait, touch
from graphnn.spec import DimLike, evaluate

ALIGNMENT = 64


def lay_out(
    steps: Sequence[Step],
    sizes: Mapping[str, int],
    keep: Sequence[Node],
    gradients: Sequence[Node] = (),
    inputs: Sequence[Node] = (),
    lanes: int = 1,
) -> Layout:
    """Place every value of a schedule.

    Parameters
    ----------
    steps
        In the order in which they run.
    sizes
        The size of each symbol.
    keep
        Values that are read after the last step.
    gradients
        Gradients of parameters, in the order in which they are to lie at the front.
    inputs
        Inputs whose batches are gathered into the arena before the first step.
    lanes
        How many lanes may run a step at once: each has its own scratch.
    """
    whole = {root(node) for node in (*keep, *gradients, *inputs)}
    lives = _lives(steps, sizes, whole)
    layout = _placed(steps, sizes, lives, [root(node) for node in gradients], lanes)
    return replace(layout, barriers=barriers_of(steps, layout))


def _lay_out_body(inner: Inner, sizes: Mapping[str, int], lanes: int) -> Layout:
    """Place what one iteration of a loop computes; the next one uses the same places."""
    elsewhere = inner.elsewhere
    lives = _lives(inner.steps, sizes, set(inner.rings))
    lives = {node: buffer for node, buffer in lives.items() if node not in elsewhere}
    for node in inner.rings:  # the state before the step, and after it
        nbytes = 2 * ring_bytes(node, sizes)
        lives[node] = replace(lives[node], nbytes=nbytes, parts=None)
    layout = _placed(inner.steps, sizes, lives, (), lanes)
    return replace(layout, barriers=barriers_of(inner.steps, layout, rounds_of(inner)))


def ring_bytes(node: Node, sizes: Mapping[str, int]) -> int:
    """How far the two places of a state lie apart."""
    return _aligned(evaluate(node.spec.nbytes, sizes))


def _placed(
    steps: Sequence[Step],
    sizes: Mapping[str, int],
    lives: Mapping[Node, Buffer],
    gradients: Sequence[Node],
    lanes: int,
) -> Layout:
    """A layout, but for its barriers."""
    inner = {
        i: _lay_out_body(step.inner, sizes, lanes) for i, step in enumerate(steps) if step.inner
    }
    lane_bytes = _aligned(max((evaluate(step.scratch, sizes) for step in steps), default=0))
    scratch = _scratch(steps, lanes, lane_bytes)
    scratch += [Buffer((), body.nbytes, i, i, None) for i, body in inner.items()]
    total = sum(_aligned(buffer.nbytes) for buffer in (*lives.values(), *scratch))
    merged = [*_in_place(steps, lives), *scratch]
    waits = base_barriers(steps)
    phase = _phases(waits)
    front, rest = _split_front(merged, gradients)
    placed, at = [], 0
    for buffer in front:
        placed.append(replace(buffer, offset=at))
        at += _aligned(buffer.nbytes)
    shelf = _Shelf(placed, len(merged), phase)
    for buffer in sorted(rest, key=lambda b: (-b.nbytes, b.first)):
        placed.append(replace(buffer, offset=shelf.lowest(buffer)))
        shelf.put(placed[-1])
    placed.sort(key=lambda b: (b.first, b.offset))
    peak = max((_aligned(buffer.end) for buffer in placed), default=0)
    return Layout(tuple(placed), peak, total, at, (), lane_bytes, inner)


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def _scratch(steps: Sequence[Step], lanes: int, lane_bytes: int) -> list[Buffer]:
    """For each step that needs it a place where its lanes work, side by side.

    All are split alike, into as many equal parts as there are lanes: steps share one place without
    a barrier between them, since every lane touches only its own part of it.
    """
    return [
        Buffer((), lanes * lane_bytes, i, i, lanes)
        for i, step in enumerate(steps)
        if step.scratch != 0
    ]


def _lives(steps: Sequence[Step], sizes: Mapping[str, int], whole: set[Node]) -> dict[Node, Buffer]:
    touched: dict[Node, list[tuple[int, Access]]] = {}
    for i, step in enumerate(steps):
        for access in step.accesses:
            if access.node in whole or not isinstance(access.node.op.kernel, Leaf):
                touched.setdefault(access.node, []).append((i, access))
    for node in whole:
        touched.setdefault(node, [])
    lives = {}
    for node, uses in touched.items():
        if isinstance(node, Parameter) or (isinstance(node.op.kernel, Leaf) and node not in whole):
            continue
        parts = {access.parts for _, access in uses}
        lives[node] = Buffer(
            (node,),
            evaluate(node.spec.nbytes, sizes),
            0 if node in whole else uses[0][0],
            len(steps) if node in whole else uses[-1][0],
            parts.pop() if len(parts) == 1 else None,
        )
    return lives


def _in_place(steps: Sequence[Step], lives: Mapping[Node, Buffer]) -> list[Buffer]:
    """Outputs that are written over an input share its buffer."""
    home = dict(lives)
    for step in steps:
        for target, value in zip(step.targets, step.over, strict=True):
            if value is None or root(value) not in home or target not in home:
                continue
            old, new = home[root(value)], home[target]
            parts = old.parts if old.parts == new.parts else None
            merged = replace(old, nodes=(*old.nodes, *new.nodes), last=new.last, parts=parts)
            home.update(dict.fromkeys(merged.nodes, merged))
    return list({id(buffer): buffer for buffer in home.values()}.values())


def base_barriers(steps: Sequence[Step]) -> list[bool]:
    """Where threads must wait for each other if every value had memory of its own."""
    touched = first_touched(steps)
    waits = []
    for step in steps:
        wait = must_wait(step, touched)
        if wait:
            touched = {}
        touch(touched, step)
        waits.append(wait)
    return waits


def _phases(waits: Sequence[bool]) -> list[int]:
    """For each step the number of barriers up to it; one more entry for what comes after all."""
    phases, count = [], 0
    for wait in waits:
        count += wait
        phases.append(count)
    return [*phases, count + 1]


def _split_front(
    buffers: Sequence[Buffer], gradients: Sequence[Node]
) -> tuple[list[Buffer], list[Buffer]]:
    by_node = {node: buffer for buffer in buffers for node in buffer.nodes}
    front = list({id(by_node[n]): by_node[n] for n in gradients if n in by_node}.values())
    chosen = {id(buffer) for buffer in front}
    return front, [buffer for buffer in buffers if id(buffer) not in chosen]


class _Shelf:
    """The buffers that have their place, in the order of their offsets, as columns of numbers.

    Thousands of buffers are compared with each one that is placed: as rows of one table.
    """

    OFFSET, END, FIRST, LAST, FIRST_PHASE, LAST_PHASE, PARTS, NBYTES = range(8)

    def __init__(self, placed: Sequence[Buffer], count: int, phase: Sequence[int]) -> None:
        self.phase, self.count = phase, 0
        self.parts: dict[DimLike | None, int] = {None: -1}
        self.table = np.zeros((8, count), np.int64)
        for buffer in placed:
            self.put(buffer)

    def _row(self, buffer: Buffer) -> tuple[int, ...]:
        return (
            buffer.offset,
            _aligned(buffer.end),
            buffer.first,
            buffer.last,
            self.phase[buffer.first],
            self.phase[buffer.last],
            self.parts.setdefault(buffer.parts, len(self.parts)),
            buffer.nbytes,
        )

    def put(self, buffer: Buffer) -> None:
        """Enter a buffer that has its place."""
        count = self.count
        at = int(np.searchsorted(self.table[self.OFFSET, :count], buffer.offset))
        self.table[:, at + 1 : count + 1] = self.table[:, at:count].copy()
        self.table[:, at] = self._row(buffer)
        self.count = count + 1

    def lowest(self, buffer: Buffer) -> int:
        """The lowest offset at which nothing is that must not be shared with."""
        table = self.table[:, : self.count]
        taken = table[: self.FIRST, self._meets(table, self._row(buffer))]
        if not taken.size:
            return 0
        starts, ends = taken
        free_from = np.concatenate([[0], np.maximum.accumulate(ends)])
        fits = free_from[:-1] + buffer.nbytes <= starts
        return int(free_from[np.argmax(fits) if fits.any() else -1])

    def _meets(self, table: NDArray[np.int64], row: tuple[int, ...]) -> NDArray[np.bool_]:
        """Which buffers are needed at once with one, by any two threads."""
        at_once = (table[self.FIRST] <= row[self.LAST]) & (row[self.FIRST] <= table[self.LAST])
        apart = (table[self.LAST_PHASE] < row[self.FIRST_PHASE]) | (
            row[self.LAST_PHASE] < table[self.FIRST_PHASE]
        )
        split = (table[self.PARTS] == row[self.PARTS]) & (table[self.NBYTES] == row[self.NBYTES])
        alike = split if row[self.PARTS] >= 0 else np.zeros_like(split)
        found: NDArray[np.bool_] = at_once | ~(apart | alike)
        return found
