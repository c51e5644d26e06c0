"""Walks: where the elements of a value lie within a larger one.

A slice that an elementwise kernel reads in place is a *load form*, a concat whose pieces it writes
in place a *store form*: neither moves data of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from graphnn.node import Node
from graphnn.op import Concat, Strided
from graphnn.ops.movement.transpose import row_strides
from graphnn.spec import DimLike, Shape

# Elements that must lie side by side: 16,384 times ``a b + c d`` of four slices, in runs of 4,
# takes 13.5 µs in place and 33 after copies; in runs of 8, 4 and 11.
SHORTEST_RUN = 4
# A formula that calls functions takes as long for one element as for a vector of 16, and what is
# left of a run behind its vectors goes one by one. An LSTM's gates, µs in place and after copies:
# runs of 8: 97, 34; 31: 88, 34; 32: 25, 30; 40: 42, 31; 100: 29, 31; 127: 41, 33; 255: 33, 31.
VECTOR = 16
LONG_RUN = 256


@dataclass(frozen=True)
class Walk:
    """Element (i0, i1, ...) lies at ``offset + Σ iⱼ strideⱼ`` of a larger value, seen as one row.

    Parameters
    ----------
    offset
        Where the first element lies.
    strides
        How far a step along each axis goes.
    """

    offset: DimLike
    strides: tuple[DimLike, ...]

    def within(self, shape: Shape) -> Walk:
        """The same walk for a value that is broadcast to ``shape``."""
        missing = (0,) * (len(shape) - len(self.strides))
        return Walk(self.offset, (*missing, *self.strides))


def load_walk(node: Node) -> Walk:
    """Where the elements of a strided copy lie within its input."""
    kernel = node.op.kernel
    assert isinstance(kernel, Strided)
    offset, strides = kernel.walk(node.inputs[0].spec, **node.attrs)
    sizes = node.spec.shape
    return Walk(offset, tuple(0 if n == 1 else s for n, s in zip(sizes, strides, strict=True)))


def store_walks(node: Node) -> list[tuple[Node, Walk]]:
    """The pieces of a concat, each with its place in it."""
    axis, strides = node.attrs["axis"], tuple(row_strides(node.spec.shape))
    found: list[tuple[Node, Walk]] = []
    start: DimLike = 0
    for piece in node.inputs:
        found.append((piece, Walk(start * strides[axis], strides)))
        start = start + piece.spec.shape[axis]
    return found


def run_length(shape: Shape, strides: Sequence[DimLike]) -> int | None:
    """How many neighbours lie side by side, in either direction.

    None where that is no limit: if all do, or a number that is not known yet.
    """
    length: DimLike = 1
    sign = 0
    for dim, stride in reversed(list(zip(shape, strides, strict=True))):
        if dim == 1:
            continue
        sign = sign or (-1 if stride == -1 else 1)
        if stride != length * sign:
            return length if isinstance(length, int) else None
        length = length * dim
    return None


def _run(node: Node) -> int | None:
    """The length of the runs that a load reads, or a store writes."""
    if isinstance(node.op.kernel, Strided):
        return run_length(node.spec.shape, load_walk(node).strides)
    return run_length(node.inputs[0].spec.shape, row_strides(node.spec.shape))


def is_even(node: Node) -> bool:
    """Whether the runs of a load or a store are vectors throughout, or nearly so."""
    run = _run(node)
    return run is None or run >= LONG_RUN or run % VECTOR == 0


def is_load(node: Node) -> bool:
    """Whether an elementwise kernel may read the node's elements where they lie."""
    if not isinstance(node.op.kernel, Strided):
        return False
    run = _run(node)
    return run is None or run >= SHORTEST_RUN


def is_store(node: Node) -> bool:
    """Whether an elementwise kernel may write the node's pieces where they belong."""
    if not isinstance(node.op.kernel, Concat):
        return False
    shape = node.inputs[0].spec.shape
    if any(piece.spec.shape != shape for piece in node.inputs) or node.spec.shape == shape:
        return False
    run = _run(node)
    return run is None or run >= SHORTEST_RUN


# How a kernel walks over its operands.


@dataclass(frozen=True)
class Loops:
    """A shape as nested loops: neighbouring axes that every operand walks alike are one loop.

    Parameters
    ----------
    sizes
        Sizes of the loops, outermost first.
    operands
        For each operand the loops that move it; along the others it is broadcast.
    axes
        The axes of the shape that each loop joins.
    strides
        For each walk over a larger value how far a step of each loop goes in it.
    """

    sizes: tuple[DimLike, ...]
    operands: tuple[tuple[int, ...], ...]
    axes: tuple[tuple[int, ...], ...]
    strides: tuple[tuple[DimLike, ...], ...] = ()


def nested(
    shape: Shape,
    operands: Iterable[Shape],
    apart: Sequence[int] = (),
    walks: Sequence[Walk] = (),
) -> Loops:
    """The fewest loops that walk ``shape`` and its broadcast operands.

    Parameters
    ----------
    shape
        What is looped over.
    operands
        Shapes that broadcast to it.
    apart
        Axes that never share a loop with the others (those that are reduced).
    walks
        Over larger values: only axes that all of them walk as one share a loop.
    """
    padded = [(1,) * (len(shape) - len(operand)) + tuple(operand) for operand in operands]
    sizes: list[DimLike] = []
    joined: list[tuple[int, ...]] = []
    marks: list[tuple[object, ...]] = []
    for axis, dim in enumerate(shape):
        if dim == 1:
            continue
        mark = (axis in apart, *(operand[axis] != 1 for operand in padded))
        as_one = marks and all(
            walk.strides[joined[-1][-1]] == walk.strides[axis] * dim for walk in walks
        )
        if as_one and marks[-1] == mark:
            sizes[-1] = sizes[-1] * dim
            joined[-1] = (*joined[-1], axis)
        else:
            sizes.append(dim)
            joined.append((axis,))
            marks.append(mark)
    moves = tuple(
        tuple(i for i, mark in enumerate(marks) if mark[1 + j]) for j in range(len(padded))
    )
    strides = tuple(tuple(walk.strides[axes[-1]] for axes in joined) for walk in walks)
    return Loops(tuple(sizes), moves, tuple(joined), strides)
