"""``x[key]``: whole numbers, slices, ``...``, None, and one list of indices, as NumPy has them."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Sequence

import numpy as np

from graphnn.context import declared_at
from graphnn.errors import GraphError, ShapeError
from graphnn.node import Node
from graphnn.operators import operators
from graphnn.ops.indexing.take import take
from graphnn.ops.movement.reshape import reshape
from graphnn.ops.movement.slicing import sliced
from graphnn.spec import Dim, DimLike, divide, format_shape

__all__: list[str] = []

# How one axis is cut: elements before, elements after, step.
Cut = tuple[DimLike, DimLike, int]


def getitem(x: Node, key: object) -> Node:
    """Part of an array; what :meth:`Node.__getitem__` does.

    Parameters
    ----------
    x
        Any shape.
    key
        For each axis a whole number, a slice (negative steps too) or, once, whole numbers: a list,
        an array or a node. ``None`` is a new axis, ``...`` all axes that are not named. Numbers
        and slices are applied before the list, as in torch.

    Raises
    ------
    ShapeError
        If there are too many indices, or one is out of range.
    GraphError
        If the length of the part would not be known for every batch size, or for conditions.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Input((None, 28, 28))
    >>> x[:, ::-1, 0].shape, x[..., None].shape, x[1:].shape
    ((None, 28), (None, 28, 28, 1), (-1 + N, 28, 28))
    """
    keys = _spelled_out(x, key if isinstance(key, tuple) else (key,))
    low: list[DimLike] = []
    high: list[DimLike] = []
    step: list[int] = []
    shape: list[DimLike] = []  # after slicing, with the new axes
    chosen: list[tuple[int, object]] = []
    axis = 0
    for one in keys:
        if one is None:
            shape.append(1)
            continue
        total = x.spec.shape[axis]
        before, after, by = _cut(x, axis, one)
        low.append(before)
        high.append(after)
        step.append(by)
        if _is_list(one):
            chosen.append((len(shape), one))
        if not _is_whole(one):
            size = _length(total - before - after, by)
            assert size is not None
            shape.append(size)
        axis += 1
    part = reshape(sliced(x, tuple(low), tuple(high), tuple(step)), tuple(shape))
    if len(chosen) > 1:
        raise GraphError(
            f"{x.name}[...]: one list of indices at a time. Declared at {declared_at()}. "
            "Take the elements of one axis, then of the other."
        )
    for place, indices in chosen:
        part = take(part, indices, place)  # type: ignore[arg-type]
    return part


operators["getitem"] = getitem


def _is_whole(key: object) -> bool:
    return isinstance(key, int | np.integer) and not isinstance(key, bool)


def _is_list(key: object) -> bool:
    return isinstance(key, Node | np.ndarray | list)


def _spelled_out(x: Node, keys: Sequence[object]) -> list[object]:
    """One key for each axis: ``...`` and what is left out become whole slices."""
    dots = sum(key is Ellipsis for key in keys)
    named = sum(key is not None and key is not Ellipsis for key in keys)
    if dots > 1:
        raise GraphError(f"{x.name}[...]: one '...' is enough. Declared at {declared_at()}.")
    if named > x.ndim:
        raise ShapeError(
            f"{x.name} has {x.ndim} axes, {format_shape(x.spec.shape)}; got {named} indices. "
            f"Declared at {declared_at()}. Leave out {named - x.ndim}."
        )
    whole = [builtins.slice(None)] * (x.ndim - named)
    if not dots:
        return [*keys, *whole]
    place = next(i for i, key in enumerate(keys) if key is Ellipsis)
    return [*keys[:place], *whole, *keys[place + 1 :]]


def _cut(x: Node, axis: int, key: object) -> Cut:
    total = x.spec.shape[axis]
    if isinstance(key, builtins.slice):
        return _cut_slice(x, axis, key)
    if _is_list(key):
        _refuse_conditions(x, key)
        return 0, 0, 1
    if not _is_whole(key):
        raise GraphError(
            f"{x.name}[...]: an index is a whole number, a slice, '...', None, or whole numbers in "
            f"a list, an array or a node; got {key!r}. Declared at {declared_at()}."
        )
    index = operator.index(key)  # type: ignore[arg-type]
    if isinstance(total, int) and not -total <= index < total:
        raise ShapeError(
            f"{x.name}[...]: index {index} is out of range for axis {axis} of "
            f"{format_shape(x.spec.shape)}. Declared at {declared_at()}. "
            f"Use an index from {-total} to {total - 1}."
        )
    start = total + index if index < 0 else index
    return start, total - start - 1, 1


def _refuse_conditions(x: Node, key: object) -> None:
    dtype = key.dtype if isinstance(key, Node) else np.asarray(key).dtype
    if str(dtype) == "bool":
        raise GraphError(
            f"{x.name}[...]: how many elements a condition chooses is not known when the graph is "
            f"declared. Declared at {declared_at()}. Use gn.where(condition, x, 0)."
        )


def _cut_slice(x: Node, axis: int, key: builtins.slice) -> Cut:
    total = x.spec.shape[axis]
    step = 1 if key.step is None else operator.index(key.step)
    if step == 0:
        raise GraphError(f"{x.name}[...]: a step of 0. Declared at {declared_at()}.")
    start: DimLike
    stop: DimLike
    if isinstance(total, int) and not isinstance(key.start, Dim) and not isinstance(key.stop, Dim):
        start, stop, _ = key.indices(total)
    else:
        start = _bound(total, key.start, total - 1 if step < 0 else 0)
        stop = _bound(total, key.stop, -1 if step < 0 else total, key.stop is None)
    length = _length(stop - start if step > 0 else start - stop, step)
    if length is None:
        raise GraphError(
            f"{x.name}[...]: how many elements {_written(key)} takes of an axis of {total} is not "
            f"known for every size. Declared at {declared_at()}. Slice with a step of 1, or "
            "another axis."
        )
    if isinstance(length, int) and length <= 0:
        return 0, total, 1
    last = start + (length - 1) * step
    first, end = (start, last) if step > 0 else (last, start)
    return first, total - 1 - end, step


def _bound(
    total: DimLike, given: int | Dim | None, default: DimLike, missing: bool = False
) -> DimLike:
    if given is None or missing:
        return default
    return total + given if isinstance(given, int) and given < 0 else given


def _length(span: DimLike, step: int) -> DimLike | None:
    """``span / |step|`` rounded up, where one number to add makes it exact for every size."""
    by = abs(step)
    if isinstance(span, int):
        return max(0, -(-span // by))
    quotients = (divide(span + more, by) for more in range(by))
    return next((quotient for quotient in quotients if quotient is not None), None)


def _written(key: builtins.slice) -> str:
    parts = ["" if part is None else str(part) for part in (key.start, key.stop, key.step)]
    return f"[{':'.join(parts)}]"
