"""Pooling into a given number of windows, or into one, with torch's arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from graphnn.context import declared_at
from graphnn.errors import ShapeError
from graphnn.hints import teaches
from graphnn.node import Node, NodeLike, as_node
from graphnn.ops.convolution.pool import known_sizes, largest_under, mean_under
from graphnn.ops.convolution.window import each_axis
from graphnn.ops.reduction.reduce import max, mean
from graphnn.spec import format_shape

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "global_avg_pool",
    "global_max_pool",
]

OutputSize: TypeAlias = int | Sequence[int | None]


def adaptive_max_pool1d(x: NodeLike, output_size: OutputSize, name: str | None = None) -> Node:
    """The largest of each of ``output_size`` windows; see :func:`adaptive_avg_pool2d`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.adaptive_max_pool1d(gn.Input((None, 8, 100)), 4).shape
    (None, 8, 4)
    """
    node = as_node(x)
    return largest_under(
        "adaptive_max_pool1d", 1, node, _shared("adaptive_max_pool1d", 1, node, output_size), name
    )


def adaptive_max_pool2d(x: NodeLike, output_size: OutputSize, name: str | None = None) -> Node:
    """The largest of each of ``output_size`` windows; see :func:`adaptive_avg_pool2d`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.adaptive_max_pool2d(gn.Input((None, 8, 10, 7)), (3, None)).shape
    (None, 8, 3, 7)
    """
    node = as_node(x)
    return largest_under(
        "adaptive_max_pool2d", 2, node, _shared("adaptive_max_pool2d", 2, node, output_size), name
    )


def adaptive_avg_pool1d(x: NodeLike, output_size: OutputSize, name: str | None = None) -> Node:
    """The mean of each of ``output_size`` windows; see :func:`adaptive_avg_pool2d`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.adaptive_avg_pool1d(gn.Input((None, 8, 100)), 4).shape
    (None, 8, 4)
    """
    node = as_node(x)
    return _shared_mean("adaptive_avg_pool1d", 1, node, output_size, name)


def adaptive_avg_pool2d(x: NodeLike, output_size: OutputSize, name: str | None = None) -> Node:
    """The mean of each of ``output_size`` windows that share the image as evenly as they can.

    Window i of n runs from ⌊i size / n⌋ to ⌈(i + 1) size / n⌉, as in torch: windows overlap where n
    does not divide the size.

    Parameters
    ----------
    x
        (..., height, width), float32 or float64.
    output_size
        A number, or one an axis; None keeps the axis as it is.
    name
        Of the node.

    Returns
    -------
    Node
        (..., *output_size).

    Raises
    ------
    ShapeError, DTypeError
        If the planes have no known size, or none at all.
    GraphError
        For arguments that are no such numbers.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.adaptive_avg_pool2d(gn.Input((None, 16, 10, 7)), (3, None)).shape
    (None, 16, 3, 7)
    """
    node = as_node(x)
    return _shared_mean("adaptive_avg_pool2d", 2, node, output_size, name)


@teaches
def global_avg_pool(x: NodeLike, keepdims: bool = False, name: str | None = None) -> Node:
    """The mean of each channel over all of its pixels (Lin, Chen, Yan, *Network in network*, 2013).

    Parameters
    ----------
    x
        (batch, channels, ...), float.
    keepdims
        Whether the pooled axes stay, with size 1.
    name
        Of the node.

    Returns
    -------
    Node
        (batch, channels).

    Raises
    ------
    ShapeError
        If there is no axis behind the channels.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.global_avg_pool(gn.Input((None, 8, 10, 7))).shape
    (None, 8)
    """
    return mean(as_node(x), _behind_channels("global_avg_pool", x), keepdims, name)


@teaches
def global_max_pool(x: NodeLike, keepdims: bool = False, name: str | None = None) -> Node:
    """The largest pixel of each channel; see :func:`global_avg_pool`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.global_max_pool(gn.Input((None, 8, 100))).shape
    (None, 8)
    """
    return max(as_node(x), _behind_channels("global_max_pool", x), keepdims, name)


def _behind_channels(op: str, x: NodeLike) -> list[int]:
    node = as_node(x)
    if node.ndim < 3:
        raise ShapeError(
            f"{op} needs (batch, channels, ...) with at least one more axis; got "
            f"{format_shape(node.spec.shape)}. Declared at {declared_at()}. A missing axis? "
            "gn.expand_dims puts one in."
        )
    return list(range(2, node.ndim))


def _shared_mean(op: str, dims: int, x: Node, output_size: OutputSize, name: str | None) -> Node:
    if x.ndim >= dims and output_size in (1, (1,) * dims, [1] * dims):
        return mean(x, tuple(range(-dims, 0)), keepdims=True, name=name or op)  # of any size
    return mean_under(op, dims, x, _shared(op, dims, x, output_size), False, 0, name)


def _shared(op: str, dims: int, x: Node, output_size: OutputSize) -> dict[str, Any]:
    """Windows that share their axes as evenly as they can."""
    sizes = known_sizes(op, dims, x)
    given = (output_size,) * dims if isinstance(output_size, int) else tuple(output_size)
    filled = [own if n is None else n for n, own in zip(given, sizes, strict=False)]
    wanted = each_axis(op, "output_size", filled if len(given) == dims else given, dims)
    if 0 in sizes:
        raise ShapeError(
            f"{op}: {x.name} has no element along an axis that is pooled; its shape is "
            f"{format_shape(x.spec.shape)}. Declared at {declared_at()}."
        )
    zeros = dict.fromkeys(("kh", "kw", "sh", "sw", "ph", "pw"), 0)
    return {"size": (1,) * (2 - dims) + wanted, **zeros, "dh": 1, "dw": 1}
