"""How a window moves over an axis: its arguments as a user writes them, and how often it fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from graphnn.context import declared_at
from graphnn.errors import GraphError
from graphnn.op import Mismatch
from graphnn.spec import Dim, DimLike, Shape, divide

Sizes: TypeAlias = int | Sequence[int]
Padding: TypeAlias = int | Sequence[int] | Literal["valid", "same", "circular"]
Pairs: TypeAlias = tuple[tuple[int, int], ...]


def as_number(dim: DimLike) -> int:
    """A dimension that the shape rule has found to be a number."""
    assert isinstance(dim, int)
    return dim


def each_axis(op: str, what: str, value: Any, dims: int, least: int = 1) -> tuple[int, ...]:
    """One whole number for all axes, or one for each, as a tuple.

    Raises
    ------
    GraphError
        If it is anything else, or less than ``least``.
    """
    given = tuple(value) if isinstance(value, Sequence) else (value,) * dims
    numbers = [int(one) for one in given if _whole(one) and one >= least]
    if len(numbers) == len(given) == dims:
        return tuple(numbers)
    several = f", or {dims} of them" if dims > 1 else ""
    raise GraphError(
        f"{op}: {what} is a whole number >= {least}{several}; got {value!r}. "
        f"Declared at {declared_at()}."
    )


def _whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def both_sides(
    op: str,
    padding: Any,
    dims: int,
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> Pairs:
    """Padding before and after each axis, as numbers.

    ``"same"`` and ``"circular"`` keep the size; where the padding is odd, one more stands behind
    than before, as in torch.

    Raises
    ------
    GraphError
        For other words, for negative numbers, and for a kept size with a stride.
    """
    if padding == "valid":
        return ((0, 0),) * dims
    if padding in ("same", "circular"):
        if any(one != 1 for one in stride):
            raise GraphError(
                f"{op}: padding={padding!r} keeps the size, so it needs stride=1; got stride="
                f"{tuple(stride)}. Declared at {declared_at()}. Give the padding in numbers."
            )
        total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((n // 2, n - n // 2) for n in total)
    if isinstance(padding, str):
        raise GraphError(
            f"{op}: padding is a whole number, one for each axis, 'valid', 'same' or "
            f"'circular'; got {padding!r}. Declared at {declared_at()}."
        )
    return tuple((p, p) for p in each_axis(op, "padding", padding, dims, least=0))


def result_size(
    size: DimLike, kernel: int, stride: int, padding: tuple[int, int], dilation: int
) -> DimLike:
    """Number of places that a window takes along an axis: ⌊(size + padding - span) / stride⌋ + 1.

    Raises
    ------
    Mismatch
        If it takes none, or if it cannot be said before the size is known.
    """
    span = dilation * (kernel - 1) + 1
    room = size + sum(padding) - span
    if isinstance(room, Dim):
        constant = dict(room.terms).get((), 0)
        steps = divide(room - constant, stride)
        if steps is not None:
            return steps + constant // stride + 1
        raise Mismatch(
            f"a size that is known where the stride is {stride}; it is {size}",
            "Give the size when declaring the input, or use stride=1.",
        )
    if room < 0:
        apart = f" ({kernel} taps, {dilation} apart)" if dilation > 1 else ""
        raise Mismatch(
            f"a kernel that fits into the padded input: it spans {span}{apart}, the input is "
            f"{size}, padded by {padding[0]} and {padding[1]}",
            "Use more padding or a smaller kernel.",
        )
    return room // stride + 1


def rooms(
    sizes: Sequence[DimLike], kernel: Sequence[DimLike], padding: Pairs, dilation: Sequence[int]
) -> list[DimLike]:
    """How far a window can move along each axis: not less than 0, or it does not fit."""
    axes = zip(sizes, map(as_number, kernel), padding, dilation, strict=True)
    return [size + sum(around) - d * (k - 1) - 1 for size, k, around, d in axes]


def result_sizes(
    sizes: Sequence[DimLike],
    kernel: Sequence[DimLike],
    stride: Sequence[int],
    padding: Pairs,
    dilation: Sequence[int],
) -> Shape:
    """:func:`result_size` of every axis."""
    axes = zip(sizes, map(as_number, kernel), stride, padding, dilation, strict=True)
    return tuple(result_size(*axis) for axis in axes)
