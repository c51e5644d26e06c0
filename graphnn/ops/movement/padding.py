"""Borders around an array: constant, periodic, mirrored, or of the edge's values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from graphnn.context import declared_at
from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.node import Node, NodeLike, as_node
from graphnn.ops.movement.broadcast import broadcast_to
from graphnn.ops.movement.joining import concat
from graphnn.ops.movement.slicing import flip, narrow, padded
from graphnn.spec import FLOATS, DimLike

__all__ = ["pad"]

PadMode: TypeAlias = Literal["constant", "reflect", "edge", "replicate", "wrap", "circular"]
Widths: TypeAlias = "int | tuple[int, int] | Sequence[tuple[int, int]]"
MODES = ("constant", "reflect", "edge", "replicate", "wrap", "circular")


def pad(
    x: NodeLike, pad_width: Widths, mode: PadMode = "constant", constant_values: float = 0
) -> Node:
    """Put borders around an array, as NumPy does.

    Parameters
    ----------
    x
        Any shape.
    pad_width
        One width for all sides, a pair (before, after) for all axes, or a pair for each axis.
        Negative widths cut away, in mode ``"constant"``.
    mode
        ``"constant"``; ``"reflect"``, mirrored at the edge's element; ``"edge"`` (torch:
        ``"replicate"``), its value; ``"wrap"`` (torch: ``"circular"``), periodic.
    constant_values
        What the border holds in mode ``"constant"``.

    Raises
    ------
    ShapeError
        If a width is negative where it may not be, or wider than there is to take from.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.pad(gn.Constant([1.0, 2.0, 3.0]), 2, mode="reflect"))()
    array([3., 2., 1., 2., 3., 2., 1.], dtype=float32)
    """
    node = as_node(x)
    widths = _widths(node, pad_width)
    if mode not in MODES:
        raise GraphError(f"pad: mode is one of {', '.join(MODES)}; got {mode!r}")
    if mode == "constant":
        if node.dtype not in FLOATS and int(constant_values) != constant_values:
            raise DTypeError(f"pad: {constant_values} is no {node.dtype}; cast the array first")
        low, high = tuple(a for a, _ in widths), tuple(b for _, b in widths)
        return padded(node, low, high, value=constant_values)
    for axis, (before, after) in enumerate(widths):
        node = _bordered(node, axis, before, after, mode)
    return node


def _from_the_last(node: Node, given: Sequence[object]) -> str:
    """What torch's widths are here: they begin with the last axis, in one row."""
    if len(given) % 2 or len(given) > 2 * node.ndim or any(not isinstance(w, int) for w in given):
        return ""
    pairs = [tuple(given[i : i + 2]) for i in range(0, len(given), 2)][::-1]
    rows = [(0, 0)] * (node.ndim - len(pairs)) + pairs
    return f" Pairs from the first axis on, unlike in torch: {rows}."


def _widths(node: Node, given: Widths) -> list[tuple[int, int]]:
    if isinstance(given, int):
        return [(given, given)] * node.ndim
    rows = [[row] if isinstance(row, int) else list(row) for row in given]
    if len(rows) == 2 and all(isinstance(width, int) for width in given):
        rows = [rows[0] + rows[1]]
    pairs = rows * node.ndim if len(rows) == 1 else rows
    if len(pairs) != node.ndim or any(len(pair) != 2 for pair in pairs):
        raise ShapeError(
            f"pad: a pair (before, after) for each of {node.ndim} axes of {node.name}; got "
            f"{given}. Declared at {declared_at()}.{_from_the_last(node, given)}"
        )
    return [(before, after) for before, after in pairs]


def _bordered(node: Node, axis: int, before: int, after: int, mode: str) -> Node:
    total = node.spec.shape[axis]
    if before < 0 or after < 0:
        raise _wrong(node, axis, (before, after), mode, "widths >= 0")
    if before == after == 0:
        return node
    spare: DimLike = total - 1 if mode == "reflect" else total
    enough = 1 if mode in ("edge", "replicate") else max(before, after)
    if isinstance(spare, int) and spare < enough:
        raise _wrong(node, axis, (before, after), mode, f"at least {enough} elements to take from")
    if mode in ("edge", "replicate"):
        sides = [_edge(node, axis, 0, before), _edge(node, axis, total - 1, after)]
    elif mode == "reflect":
        left = narrow(node, axis, 1, before)
        right = narrow(node, axis, total - 1 - after, after)
        sides = [flip(left, axis), flip(right, axis)]
    else:
        sides = [narrow(node, axis, total - before, before), narrow(node, axis, 0, after)]
    parts = [sides[0]] * (before > 0) + [node] + [sides[1]] * (after > 0)
    return concat(parts, axis)


def _edge(node: Node, axis: int, place: DimLike, width: int) -> Node:
    one = narrow(node, axis, place, 1)
    shape = list(one.spec.shape)
    shape[axis] = width
    return broadcast_to(one, shape)


def _wrong(node: Node, axis: int, widths: tuple[int, int], mode: str, needs: str) -> ShapeError:
    return ShapeError(
        f"pad: mode {mode!r} needs {needs}; got widths {widths} for axis {axis} of {node.name}, "
        f"which has {node.spec.shape[axis]} elements. Declared at {declared_at()}. "
        "Pad less, or with mode='constant'."
    )
