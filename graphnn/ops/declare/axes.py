"""Axes as users name them, from the front or from the end, counted from the front."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np

from graphnn.context import declared_at
from graphnn.errors import ShapeError
from graphnn.node import Node
from graphnn.spec import format_shape

Axes: TypeAlias = int | Sequence[int] | None


def as_axis(node: Node, axis: object, what: str) -> int:
    """``axis`` counted from the front; NumPy's whole numbers will do.

    Raises
    ------
    ShapeError
        If it is no whole number, or the node has no such axis.
    """
    return _counted(node, axis, what, node.ndim)


def as_axes(node: Node, axes: object, what: str) -> tuple[int, ...]:
    """One axis or several, counted from the front in the order given; None: all.

    Raises
    ------
    ShapeError
        If the node lacks one of them, or one is named twice.
    """
    if axes is None:
        return tuple(range(node.ndim))
    return _different(node, _listed(axes), what, node.ndim)


def as_new_axes(node: Node, axes: object, what: str) -> tuple[int, ...]:
    """Places of new axes in the result, counted from the front.

    Raises
    ------
    ShapeError
        If the result has no such place, or one is named twice.
    """
    given = _listed(axes)
    return _different(node, given, what, node.ndim + len(given))


def _listed(axes: object) -> list[object]:
    if isinstance(axes, np.ndarray):
        axes = axes.tolist()
    return list(axes) if isinstance(axes, Iterable) and not isinstance(axes, str) else [axes]


def _different(node: Node, axes: list[object], what: str, ndim: int) -> tuple[int, ...]:
    found = tuple(_counted(node, axis, what, ndim) for axis in axes)
    if len(set(found)) < len(found):
        raise ShapeError(
            f"{what}: the axes must be different; got {axes!r} for {node.name}, which has shape "
            f"{format_shape(node.spec.shape)}. Declared at {declared_at()}. Name each axis once."
        )
    return found


def _counted(node: Node, axis: object, what: str, ndim: int) -> int:
    whole = isinstance(axis, int | np.integer) and not isinstance(axis, bool)
    if whole and -ndim <= axis < ndim:  # type: ignore[operator]
        return int(axis) % ndim  # type: ignore[call-overload, no-any-return]
    shape = format_shape(node.spec.shape)
    where = f"Declared at {declared_at()}."
    if not whole:
        raise ShapeError(
            f"{what}: an axis is a whole number; got {axis!r} for {node.name}, which has shape "
            f"{shape}. {where} Write axis=-1 for the last one."
        )
    if ndim == node.ndim:
        lacks = f"axis={axis} is no axis of {node.name}, which has shape {shape}"
    else:
        lacks = f"there is no place {axis} for a new axis in {node.name} of shape {shape}"
    fix = f"Name an axis from {-ndim} to {ndim - 1}." if ndim else "A scalar has no axis."
    raise ShapeError(f"{what}: {lacks}. {where} {fix}")
