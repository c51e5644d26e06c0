"""Arrays joined, stacked, repeated and taken apart."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.context import declared_at
from graphnn.errors import GraphError, ShapeError
from graphnn.hints import teaches
from graphnn.node import Node, NodeLike, apply, as_node, as_nodes
from graphnn.op import Concat, Draw, Example, Mismatch, Op, Rows, register
from graphnn.ops.declare.axes import as_axis, as_new_axes
from graphnn.ops.declare.tangents import additive, linear
from graphnn.ops.movement.broadcast import broadcast_to
from graphnn.ops.movement.copy import FAR
from graphnn.ops.movement.reshape import MOVEMENT, expand_dims, reshape
from graphnn.ops.movement.slicing import narrow
from graphnn.source import Body
from graphnn.spec import DimLike, TensorSpec, divide, format_shape

__all__ = ["concat", "repeat", "roll", "split", "stack", "tile"]


def _spec(*values: TensorSpec, axis: int) -> TensorSpec:
    first = values[0]
    if len({value.dtype for value in values}) > 1:
        raise Mismatch("one dtype", "Cast: gn.cast(x, 'float32').", dtype=True)
    if not 0 <= axis < first.ndim:
        raise Mismatch(f"an axis {axis}", "Use gn.stack to join along a new axis.")
    total: DimLike = 0
    for value in values:
        total = total + (value.shape[axis] if value.ndim > axis else 0)
    shapes = {(*value.shape[:axis], total, *value.shape[axis + 1 :]) for value in values}
    if len(shapes) > 1 or any(value.ndim != first.ndim for value in values):
        raise Mismatch(f"equal sizes along all axes but {axis}")
    return first.with_shape(shapes.pop())


def _reference(*values: NDArray[Any], axis: int) -> NDArray[Any]:
    return np.concatenate(values, axis)


def _vjp(node: Node, dy: Node) -> list[Node | None]:
    axis = node.attrs["axis"]
    parts: list[Node | None] = []
    start: DimLike = 0
    for value in node.inputs:
        size = value.spec.shape[axis]
        parts.append(narrow(dy, axis, start, size))
        start = start + size
    return parts


def _example(axis: int, *shapes: tuple[int, ...]) -> Example:
    return Example(tuple(Draw(shape) for shape in shapes), {"axis": axis})


CONCAT = register(
    Op(
        name="concat",
        spec=_spec,
        kernel=Concat(),
        reference=_reference,
        vjp=_vjp,
        jvp=additive,
        examples=(
            _example(1, (4, 3), (4, 2)),
            _example(0, (4, 3), (1, 3), (2, 3)),
            _example(1, (2, 3, 4), (2, 5, 4)),
            _example(2, (1, 5, 1), (1, 5, 1), (1, 5, 1)),
            _example(0, (1000,), (24,), (300,), (1,), (7,)),
            _example(1, (1, 4, 3), (1, 2, 3)),
            _example(0, (5,)),
        ),
        formula="[a, b, ...]",
        color=MOVEMENT,
    )
)


@teaches
def concat(values: Sequence[NodeLike], axis: int = 0, name: str | None = None) -> Node:
    """Join arrays along an axis that they have.

    Parameters
    ----------
    values
        At least one; equal in dtype, and in size along all other axes.
    axis
        Along which they follow each other.

    Raises
    ------
    ShapeError, DTypeError
        If they do not fit.

    Examples
    --------
    >>> import graphnn as gn
    >>> a, b = gn.Input((None, 3)), gn.Input((None, 4))
    >>> gn.concat([a, b], axis=1).shape
    (None, 7)
    """
    nodes = _several("concat", values)
    place = as_axis(nodes[0], axis, "concat")
    if len(nodes) == 1:
        return nodes[0]
    return apply(CONCAT, nodes, {"axis": place}, name=name)


def _several(what: str, values: object) -> tuple[Node, ...]:
    if not isinstance(values, list | tuple) or not values:
        raise GraphError(
            f"{what} takes a list of at least one array; got {values!r}. "
            f"Declared at {declared_at()}. Write gn.{what}([a, b], axis)."
        )
    return as_nodes(*values)


@teaches
def stack(values: Sequence[NodeLike], axis: int = 0, name: str | None = None) -> Node:
    """Join arrays of one shape along a new axis.

    Examples
    --------
    >>> import graphnn as gn
    >>> a, b = gn.Input((None, 3)), gn.Input((None, 3))
    >>> gn.stack([a, b], axis=1).shape
    (None, 2, 3)
    """
    nodes = _several("stack", values)
    (place,) = as_new_axes(nodes[0], axis, "stack")
    if len({node.spec.shape for node in nodes}) > 1:
        shapes = ", ".join(format_shape(node.spec.shape) for node in nodes)
        raise ShapeError(
            f"stack needs arrays of one shape; got {shapes}. Declared at {declared_at()}. "
            "Use gn.concat to join along an axis that they have."
        )
    wide = [expand_dims(node, place) for node in nodes]
    return wide[0] if len(wide) == 1 else apply(CONCAT, wide, {"axis": place}, name=name)


@teaches
def split(x: NodeLike, parts: int | Sequence[int], axis: int = 0) -> list[Node]:
    """Take an array apart along an axis, as NumPy does.

    Parameters
    ----------
    x
        Any shape.
    parts
        A number of equal parts, or the places where a new part begins.
    axis
        Which axis.

    Raises
    ------
    ShapeError
        If the axis does not have that many equal parts, or the places do not rise.

    Examples
    --------
    >>> import graphnn as gn
    >>> [part.shape for part in gn.split(gn.Input((None, 10)), [2, 5], axis=1)]
    [(None, 2), (None, 3), (None, 5)]
    """
    node = as_node(x)
    place = as_axis(node, axis, "split")
    total = node.spec.shape[place]
    edges: list[DimLike]
    if isinstance(parts, int):
        each = divide(total, parts) if parts > 0 else None
        if each is None:
            raise ShapeError(
                f"split: axis {axis} of {node.name} has {total} elements, which make no {parts} "
                f"equal parts. Declared at {declared_at()}. Give the places where parts begin."
            )
        edges = [each * i for i in range(parts + 1)]
    else:
        edges = [0, *parts, total]
    pairs = itertools.pairwise(edges)
    return [narrow(node, place, a, b - a) for a, b in pairs]


# Rolling along an axis of unknown size, which may be shorter than the shift: no slice is known.


def _roll_spec(x: TensorSpec, *, axis: int, shift: int) -> TensorSpec:
    if not 0 <= axis < x.ndim:
        raise Mismatch(f"an axis {axis}", "Use gn.roll.")
    return x


def _roll_flat(start, stop, x, out, *, shift):  # type: ignore[no-untyped-def]
    count, inner = out.shape[1], out.shape[2]
    for row in range(start // inner, (stop - 1) // inner + 1 if start < stop else 0):
        outer = row // count
        j = row - outer * count
        source = (j - shift) % count
        begin = min(max(start - row * inner, 0), FAR)
        for k in range(min(stop - row * inner, inner) - begin):
            out[outer, j, begin + k] = x[outer, source, begin + k]


def _roll_vjp(node: Node, dy: Node) -> list[Node | None]:
    return [apply(ROLL, [dy], {**node.attrs, "shift": -node.attrs["shift"]})]


ROLL = register(
    Op(
        name="roll",
        spec=_roll_spec,
        kernel=Rows(Body(_roll_flat), ("around", "around")),
        reference=lambda x, *, axis, shift: np.roll(x, shift, axis),
        vjp=_roll_vjp,
        jvp=linear,
        examples=(
            Example((Draw((5, 3)),), {"axis": 0, "shift": 2}),
            Example((Draw((2, 4, 3)),), {"axis": 1, "shift": -9}),
            Example((Draw((7,)),), {"axis": 0, "shift": -1}),
            Example((Draw((3, 40), 0, 9, "int64"),), {"axis": 1, "shift": 45}),
        ),
        formula="out[j] = x[(j - shift) mod n]",
        color=MOVEMENT,
    )
)


@teaches
def roll(x: NodeLike, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Node:
    """Move elements along axes; what leaves at one end comes back at the other.

    Without an axis the array is rolled as one row, as NumPy does.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.roll(gn.Constant([1.0, 2.0, 3.0]), 1))()
    array([3., 1., 2.], dtype=float32)
    """
    node = as_node(x)
    if axis is None:
        flat = reshape(node, (node.spec.size,))
        return reshape(roll(flat, shift, 0), node.spec.shape)
    axes = [axis] if isinstance(axis, int | np.integer) else list(axis)
    shifts = [shift] * len(axes) if isinstance(shift, int | np.integer) else list(shift)
    if len(shifts) != len(axes):
        raise GraphError(f"roll: one shift for each axis; got {shifts} for axes {axes}")
    for by, one in zip(shifts, axes, strict=True):
        node = _rolled(node, by, as_axis(node, one, "roll"))
    return node


def _rolled(node: Node, shift: int, axis: int) -> Node:
    total = node.spec.shape[axis]
    if isinstance(total, int):
        shift = shift % total if total else 0
    if shift == 0:
        return node
    if not isinstance(total, int):
        return apply(ROLL, [node], {"axis": axis, "shift": int(shift)})
    cut = total - shift
    return concat([narrow(node, axis, cut, shift), narrow(node, axis, 0, cut)], axis)


@teaches
def repeat(x: NodeLike, repeats: int, axis: int | None = None) -> Node:
    """Each element ``repeats`` times in a row; without an axis of the array as one row.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.repeat(gn.Constant([1.0, 2.0]), 2))()
    array([1., 1., 2., 2.], dtype=float32)
    """
    node = as_node(x)
    if axis is None:
        return repeat(reshape(node, (node.spec.size,)), repeats, 0)
    place = as_axis(node, axis, "repeat")
    shape = node.spec.shape
    wide = (*shape[: place + 1], _count("repeat", repeats), *shape[place + 1 :])
    joined = (*shape[:place], shape[place] * repeats, *shape[place + 1 :])
    return reshape(broadcast_to(expand_dims(node, place + 1), wide), joined)


def tile(x: NodeLike, repeats: int | Sequence[int]) -> Node:
    """The whole array several times along each axis, as NumPy does.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.tile(gn.Constant([1.0, 2.0]), 2))()
    array([1., 2., 1., 2.], dtype=float32)
    """
    node = as_node(x)
    counts = [repeats] if isinstance(repeats, int) else list(repeats)
    ndim = max(len(counts), node.ndim)
    counts = [1] * (ndim - len(counts)) + [_count("tile", count) for count in counts]
    shape: list[DimLike] = [*[1] * (ndim - node.ndim), *node.spec.shape]
    apart = [dim for size in shape for dim in (1, size)]
    wide: list[DimLike] = [dim for pair in zip(counts, shape, strict=True) for dim in pair]
    total = tuple(count * size for count, size in zip(counts, shape, strict=True))
    return reshape(broadcast_to(reshape(node, tuple(apart)), wide), total)


def _count(what: str, count: int) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise GraphError(f"{what} takes whole numbers >= 0; got {count!r}")
    return count
