"""From a plan to the tables that the executor's loop reads: kernels, addresses, sizes.

A plan without loops has one table, which all threads read. In a loop addresses move from iteration
to iteration, and threads do not run in step: each then has a table of its own, with patches that
say what is to stand where in which iteration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphnn.backends.cpu import blas, loop
from graphnn.backends.cpu.compile import kernel_address
from graphnn.backends.cpu.kernels import Kernel, LoopKernels
from graphnn.barriers import Layout
from graphnn.fusion import root
from graphnn.loop import offset_of
from graphnn.memory import ALIGNMENT, ring_bytes
from graphnn.node import Constant, Input, Node, Parameter, Size
from graphnn.op import Attention, Convolution, Gemm
from graphnn.plan import Plan
from graphnn.schedule import Inner, Step
from graphnn.spec import evaluate

Address: TypeAlias = int
Places: TypeAlias = NDArray[np.int64]


def aligned(nbytes: int) -> NDArray[np.uint8]:
    """Zeroed memory that begins on a cache line."""
    raw = np.zeros(nbytes + ALIGNMENT, np.uint8)
    skip = -address_of(raw) % ALIGNMENT
    return raw[skip : skip + nbytes]


def address_of(array: NDArray[Any]) -> Address:
    """Where an array begins."""
    return int(array.__array_interface__["data"][0])


@dataclass
class Bound:
    """A plan bound to addresses: what the executor's loop reads.

    Parameters
    ----------
    plan
        The plan.
    arena
        Where its values lie; a larger one may have taken its place for later plans.
    table
        For each thread (or once for all) rows (kernel, data, meta, wait before), then what they
        point into.
    rows
        Number of rows.
    apart
        Bytes from the table of one thread to that of the next; 0: they share one.
    inputs
        For each input the places in ``table`` that hold an address in it, and how far behind its
        beginning.
    offsets
        For each value in the arena where it begins.
    multiplies
        Whether a step calls BLAS.
    keep
        Memory that must live as long as the tables.
    """

    plan: Plan
    arena: NDArray[np.uint8]
    table: NDArray[np.int64]
    rows: int
    apart: int
    inputs: dict[Node, tuple[Places, Places]]
    offsets: dict[Node, int]
    multiplies: bool
    keep: list[Any]

    @cached_property
    def work(self) -> tuple[int, int]:
        """FLOPs and bytes of one run."""
        return self.plan.work

    def give(self, places: Places, offsets: Places, address: Address) -> None:
        """Say where the array of an input lies: its :attr:`inputs`, and its address."""
        self.table[places] = offsets + address


class Memory:
    """The arena and the constants of one function; grows, never shrinks."""

    def __init__(self) -> None:
        self.arena = aligned(0)
        self.constants: dict[Node, NDArray[Any]] = {}

    def reserve(self, nbytes: int) -> bool:
        """Make the arena at least that large; True if it moved."""
        if nbytes <= self.arena.nbytes:
            return False
        self.arena = aligned(nbytes)
        return True

    def constant(self, node: Constant) -> Address:
        """The address of a constant."""
        if node not in self.constants:
            home = aligned(max(node.array.nbytes, 1))[: node.array.nbytes].view(node.array.dtype)
            home[...] = node.array.ravel()
            self.constants[node] = home
        return address_of(self.constants[node])


def bind(plan: Plan, kernels: Sequence[Kernel], memory: Memory) -> Bound:
    """Fill the tables of a plan: compiled kernels, addresses, sizes."""
    made = _Tables(plan, memory)
    scope = _Scope(plan.layout, address_of(memory.arena), _targets(plan.steps), {})
    made.add_steps(plan.steps, kernels, scope)
    return made.bound()


@dataclass(frozen=True)
class _Moves:
    """How an address moves with the iterations of a loop: ``((turn + phase) & mask) * stride``."""

    loop: int
    stride: int
    phase: int = 0
    mask: int = -1


@dataclass(frozen=True)
class _Place:
    """Where a value lies: an address, or an input and an offset; and how it moves, outermost first.

    What is ``shifted`` by several loops is moved by each of them.
    """

    address: Address
    source: Node | None = None
    moves: tuple[_Moves, ...] = ()

    def shifted(self, nbytes: int, *moves: _Moves) -> _Place:
        return replace(self, address=self.address + nbytes, moves=(*self.moves, *moves))


@dataclass(frozen=True)
class _Scope:
    """What can be read at one level of loops.

    Parameters
    ----------
    layout, start
        What lies in this level's own memory, and where that begins.
    targets
        From a computed value to the one whose memory takes it.
    places
        Everything that lies elsewhere.
    """

    layout: Layout
    start: Address
    targets: Mapping[Node, Node]
    places: Mapping[Node, _Place]


def _targets(steps: Sequence[Step]) -> dict[Node, Node]:
    return {
        node: target
        for step in steps
        for node, target in zip(step.group.outputs, step.targets, strict=True)
    }


@dataclass
class _Patches:
    """The addresses that one loop moves: (where it stands, place, how it moves)."""

    rows: list[tuple[tuple[str, int, int], _Place, _Moves]] = field(default_factory=list)


class _Tables:
    """Tables under construction."""

    def __init__(self, plan: Plan, memory: Memory) -> None:
        self.plan, self.memory = plan, memory
        self.keep: list[Any] = []
        self.multiplies = False
        self.rows: list[tuple[int, int, int, int]] = []
        self.data: list[_Place] = []
        self.meta: list[int] = []
        self.loops: list[list[int]] = []  # of each: number of turns, first row, row behind
        self.patches: list[_Patches] = []

    # Steps.

    def add_steps(self, steps: Sequence[Step], kernels: Sequence[Kernel], scope: _Scope) -> None:
        """Rows for steps, in their order."""
        waits = scope.layout.barriers
        for i, (step, kernel, wait) in enumerate(zip(steps, kernels, waits, strict=True)):
            if step.inner is not None:
                assert isinstance(kernel, LoopKernels)
                self._add_loop(i, step.inner, kernel, scope)
            else:
                self._add_step(i, step, kernel, scope, wait)

    def _add_step(self, i: int, step: Step, kernel: Kernel, scope: _Scope, wait: bool) -> None:
        operands = [self._place(operand, scope) for operand in kernel.operands]
        meta = kernel.meta_values(self.plan.sizes)
        form = step.group.last.op.kernel
        if isinstance(form, Gemm | Convolution | Attention):
            self.multiplies = True
            operands.append(_Place(blas.gemm_address(step.group.last.dtype)))
        if isinstance(form, Convolution | Attention):
            scratch = scope.layout.scratch
            operands.append(_Place(scope.start + scratch[i].offset if i in scratch else 0))
            meta.append(scope.layout.lane_bytes)
        self._add_row(kernel_address(kernel.source, kernel.name), operands, meta, wait)

    def _add_row(
        self, kernel: Address, operands: Sequence[_Place], meta: Sequence[int], wait: bool
    ) -> None:
        self.rows.append((kernel, len(self.data), len(self.meta), int(wait)))
        self.meta += meta
        for operand in operands:
            self._add_data(operand)

    def _add_data(self, place: _Place) -> None:
        where = ("data", len(self.data), 0)
        self.data.append(place)
        # The innermost loop moves the address; those around it move what it starts from.
        for depth in reversed(range(len(place.moves))):
            before, moves = replace(place, moves=place.moves[:depth]), place.moves[depth]
            patches = self.patches[moves.loop].rows
            patches.append((where, before, moves))
            where = ("patch", moves.loop, len(patches) - 1)

    def _copy(self, source: _Place, target: _Place, nbytes: int, wait: bool) -> None:
        self._add_row(kernel_address(_COPY, "copy"), [source, target], [nbytes], wait)

    # Loops.

    def _add_loop(self, i: int, inner: Inner, kernel: LoopKernels, scope: _Scope) -> None:
        """Rows that bring the first states, the body between two ends, rows for the last states."""
        sizes, body = self.plan.sizes, inner.body
        turns = evaluate(body.length, sizes)
        number = len(self.loops)
        state = [turns, 0, 0]
        self.loops.append(state)
        self.patches.append(_Patches())
        start = scope.start + scope.layout.scratch[i].offset
        layout = scope.layout.inner[i]
        offsets = layout.offsets

        def stacked(place: _Place, node: Node, first: int = 0) -> _Place:
            """The slice of this turn, ``first`` slices behind the beginning."""
            each = evaluate(node.spec.nbytes, sizes)
            if body.reverse:
                return place.shifted((turns - 1 + first) * each, _Moves(number, -each))
            return place.shifted(first * each, _Moves(number, each))

        places: dict[Node, _Place] = {
            node: stacked(self._place(part, scope), node) for node, part in inner.stacks.items()
        }
        firsts, sequences, others = body.shares(inner.loop.inputs)
        for slot, value in zip(body.slices, sequences, strict=True):
            places[slot] = stacked(self._place(value, scope), slot)
        for slot, value in zip(body.outers, others, strict=True):
            places[slot] = self._place(value, scope)
        ends: list[tuple[_Place, Node, int]] = []
        for slot, new, first, trail, last in zip(
            body.carries, inner.nexts, firsts, inner.trails, inner.lasts, strict=True
        ):
            each = evaluate(slot.spec.nbytes, sizes)
            if trail is not None:
                whole = self._place(trail, scope)
                before, after = int(body.reverse), int(not body.reverse)
                places[slot] = stacked(whole, slot, before)
                places[new] = stacked(whole, slot, after)
                begin = whole.shifted(turns * each if body.reverse else 0)
            else:
                step = ring_bytes(new, sizes)
                begin = _Place(start + offsets[new])
                places[slot] = begin.shifted(0, _Moves(number, step, 0, 1))
                places[new] = begin.shifted(0, _Moves(number, step, 1, 1))
                if last is not None:
                    ends.append((begin.shifted(turns % 2 * step), last, each))
            self._copy(self._place(first, scope), begin, each, wait=slot is body.carries[0])
        self.rows.append((0, number, 0, 1))
        state[1] = len(self.rows)
        within = _Scope(layout, start, _targets(inner.steps), places)
        self.add_steps(inner.steps, kernel.kernels, within)
        self.rows.append((0, number, 1, 0))
        state[2] = len(self.rows)
        for j, (source, last, each) in enumerate(ends):
            self._copy(source, self._place(last, scope), each, wait=j == 0)

    # Places.

    def _place(self, node: Node, scope: _Scope) -> _Place:
        """Where the memory that a node shows begins."""
        source = scope.targets.get(root(node), root(node))
        return self._whole(source, scope).shifted(evaluate(offset_of(node), self.plan.sizes))

    def _whole(self, node: Node, scope: _Scope) -> _Place:
        if node in scope.places:
            return scope.places[node]
        offsets = scope.layout.offsets
        if node in offsets:
            return _Place(scope.start + offsets[node])
        if isinstance(node, Parameter):
            return _Place(address_of(node.value))
        if isinstance(node, Constant):
            return _Place(self.memory.constant(node))
        if isinstance(node, Size):
            value = np.array([evaluate(node.dim, self.plan.sizes)], node.dtype)
            self.keep.append(value)
            return _Place(address_of(value))
        assert isinstance(node, Input), node
        return _Place(0, node)  # its address comes with the call

    # The tables.

    def bound(self) -> Bound:
        """The plan with its tables."""
        meta = np.array(self.meta or [0], np.int64)
        self.keep.append(meta)
        rows, data = len(self.rows), len(self.data)
        firsts = [4 * rows + data]  # where the patches of each loop begin
        for patches in self.patches:
            firsts.append(firsts[-1] + loop.PATCH_FIELDS * len(patches.rows))
        loops = firsts[-1]
        words = max(loops + loop.LOOP_FIELDS * len(self.loops), 1)
        threads = self.plan.lanes if self.loops else 1
        table = np.zeros((threads, words), np.int64)
        inputs: dict[Node, list[tuple[int, int]]] = {}

        def fill(at: int, place: _Place) -> None:
            """An address that no loop moves."""
            table[:, at] = place.address
            if place.source is not None and not place.moves:
                inputs.setdefault(place.source, []).append((at, place.address))

        starts = address_of(table) + 8 * words * np.arange(threads)
        for i, (kernel, first, second, wait) in enumerate(self.rows):
            after = 4 * rows + first if kernel else loops + loop.LOOP_FIELDS * first
            table[:, 4 * i] = kernel
            table[:, 4 * i + 1] = starts + 8 * after
            table[:, 4 * i + 2] = address_of(meta) + 8 * second if kernel else second
            table[:, 4 * i + 3] = wait
        for i, operand in enumerate(self.data):
            fill(4 * rows + i, operand)
        for i, patches in enumerate(self.patches):
            for j, ((kind, one, two), place, moves) in enumerate(patches.rows):
                at = firsts[i] + loop.PATCH_FIELDS * j
                where = (
                    4 * rows + one
                    if kind == "data"
                    else firsts[one] + loop.PATCH_FIELDS * two + loop.BASE
                )
                table[:, at + loop.WHERE] = starts + 8 * where
                fill(at + loop.BASE, place)
                table[:, at + loop.STRIDE] = moves.stride
                table[:, at + loop.PHASE] = moves.phase
                table[:, at + loop.MASK] = moves.mask
        for i, (turns, first, behind) in enumerate(self.loops):
            at = loops + loop.LOOP_FIELDS * i
            table[:, at + loop.COUNT_TO] = turns
            table[:, at + loop.FIRST_ROW] = first
            table[:, at + loop.ROW_BEHIND] = behind
            table[:, at + loop.PATCHES] = starts + 8 * firsts[i]
            table[:, at + loop.PATCH_COUNT] = len(self.patches[i].rows)
        across = words * np.arange(threads)[:, None]
        found = {
            node: (
                (across + np.array([at for at, _ in places])).ravel(),
                np.tile(np.array([offset for _, offset in places]), threads),
            )
            for node, places in inputs.items()
        }
        return Bound(
            self.plan,
            self.memory.arena,
            table.reshape(-1),
            rows,
            8 * words if self.loops else 0,
            found,
            self.plan.layout.offsets,
            self.multiplies,
            self.keep,
        )


_COPY = """\
def copy(data, meta, lane, lanes):
    data = pointer_i64(data)
    count = pointer_i64(meta)[0]
    chunks = (count + 63) // 64
    first, last = 64 * share(chunks, lane, lanes), min(64 * share(chunks, lane + 1, lanes), count)
    if first < last:
        copy_bytes(data[1] + first, data[0] + first, last - first)
"""
