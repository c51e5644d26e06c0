"""Walks: where the elements of a value lie within a larger one.

A slice that an elementwise kernel reads in place is a *load form*, a concat whose pieces it writes
in place a *store form*: neither moves data of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphnn.node import Node
from graphnn.op import Concat, Strided
from graphnn.ops.movement.transpose import row_strides
from graphnn.spec import DimLike, Shape

# Elements that the innermost loop must find side by side: a kernel whose loop is shorter runs
# mostly in the remainder behind its vectors, where a copy would have let it walk all axes as one.
SHORTEST_RUN = 32


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


def runs(shape: Shape, strides: Sequence[DimLike]) -> bool:
    """Whether neighbours lie side by side, in either direction, in runs long enough for vectors."""
    length: DimLike = 1
    sign = 0
    for dim, stride in reversed(list(zip(shape, strides, strict=True))):
        if dim == 1:
            continue
        sign = sign or (-1 if stride == -1 else 1)
        if stride != length * sign:
            return length != 1 and (not isinstance(length, int) or length >= SHORTEST_RUN)
        length = length * dim
    return True


def is_load(node: Node) -> bool:
    """Whether an elementwise kernel may read the node's elements where they lie."""
    if not isinstance(node.op.kernel, Strided):
        return False
    return runs(node.spec.shape, load_walk(node).strides)


def is_store(node: Node) -> bool:
    """Whether an elementwise kernel may write the node's pieces where they belong."""
    if not isinstance(node.op.kernel, Concat):
        return False
    shape = node.inputs[0].spec.shape
    if any(piece.spec.shape != shape for piece in node.inputs) or node.spec.shape == shape:
        return False
    return runs(shape, tuple(row_strides(node.spec.shape)))
