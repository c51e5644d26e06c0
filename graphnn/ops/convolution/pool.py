"""Pooling of signals and images, with torch's arguments: each window's largest, or its mean."""

from __future__ import annotations

from typing import Any

from graphnn.context import declared_at
from graphnn.errors import GraphError, ShapeError
from graphnn.node import Node, NodeLike, apply, as_node
from graphnn.ops.convolution.average import AVERAGE
from graphnn.ops.convolution.largest import LARGEST, PICK
from graphnn.ops.convolution.planes import taps_of
from graphnn.ops.convolution.window import Sizes, each_axis
from graphnn.ops.movement.reshape import expand_dims, squeeze
from graphnn.spec import Dim, format_shape

__all__ = ["avg_pool1d", "avg_pool2d", "max_pool1d", "max_pool2d"]


def max_pool1d(
    x: NodeLike,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    name: str | None = None,
) -> Node:
    """The largest element of each window of a signal; see :func:`max_pool2d`.

    Parameters
    ----------
    x
        (..., length).
    kernel_size, stride, padding, dilation, ceil_mode
        As in :func:`max_pool2d`.

    Raises
    ------
    ShapeError, DTypeError, GraphError
        As :func:`max_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 1, 4), name="x")
    >>> gn.function(x, gn.max_pool1d(x, 2))(np.float32([[[1, 4, 3, 2]]]))
    array([[[4., 3.]]], dtype=float32)
    """
    node = as_node(x)
    window = _window("max_pool1d", 1, node, kernel_size, stride, padding, dilation, ceil_mode)
    return largest_under("max_pool1d", 1, node, window, name)


def max_pool2d(
    x: NodeLike,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    name: str | None = None,
) -> Node:
    """The largest element of each window of an image.

    Of equal elements the first counts, in the gradient too; nan is larger than all.

    Parameters
    ----------
    x
        (..., height, width), float32 or float64; usually (batch, channels, height, width).
    kernel_size
        Size of the window: a number, or one an axis.
    stride
        Distance of the windows; by default the kernel's size.
    padding
        How far windows may begin and end outside, where nothing is: at most half of the kernel.
    dilation
        Distance of the window's elements.
    ceil_mode
        Whether a last window that ends outside counts too, if it begins inside.
    name
        Of the node.

    Returns
    -------
    Node
        (..., height', width'), each size
        ⌊(size + 2 padding - dilation (kernel - 1) - 1) / stride⌋ + 1, or rounded up.

    Raises
    ------
    ShapeError, DTypeError
        If no window fits, or the planes have no known size.
    GraphError
        For arguments that are no such numbers.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.max_pool2d(gn.Input((None, 16, 28, 28)), 2).shape
    (None, 16, 14, 14)
    """
    node = as_node(x)
    window = _window("max_pool2d", 2, node, kernel_size, stride, padding, dilation, ceil_mode)
    return largest_under("max_pool2d", 2, node, window, name)


def avg_pool1d(
    x: NodeLike,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    name: str | None = None,
) -> Node:
    """The mean of each window of a signal; see :func:`avg_pool2d`.

    Parameters
    ----------
    x
        (..., length).
    kernel_size, stride, padding, ceil_mode, count_include_pad
        As in :func:`avg_pool2d`.

    Raises
    ------
    ShapeError, DTypeError, GraphError
        As :func:`avg_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 1, 4), name="x")
    >>> gn.function(x, gn.avg_pool1d(x, 2))(np.float32([[[1, 3, 5, 9]]]))
    array([[[2., 7.]]], dtype=float32)
    """
    node = as_node(x)
    window = _window("avg_pool1d", 1, node, kernel_size, stride, padding, 1, ceil_mode)
    return mean_under("avg_pool1d", 1, node, window, count_include_pad, 0, name)


def avg_pool2d(
    x: NodeLike,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    name: str | None = None,
) -> Node:
    """The mean of each window of an image.

    Parameters
    ----------
    x
        (..., height, width), float32 or float64; usually (batch, channels, height, width).
    kernel_size, stride, padding, ceil_mode
        As in :func:`max_pool2d`; the padding is zeros.
    count_include_pad
        Whether the zeros of the padding count in the mean.
    divisor_override
        By what each window's sum is divided; by default the number of its elements.
    name
        Of the node.

    Returns
    -------
    Node
        (..., height', width').

    Raises
    ------
    ShapeError, DTypeError
        If no window fits, or the planes have no known size.
    GraphError
        For arguments that are no such numbers.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.avg_pool2d(gn.Input((None, 16, 28, 28)), 3, stride=2, padding=1).shape
    (None, 16, 14, 14)
    """
    node = as_node(x)
    window = _window("avg_pool2d", 2, node, kernel_size, stride, padding, 1, ceil_mode)
    divisor = 0
    if divisor_override is not None:
        (divisor,) = each_axis("avg_pool2d", "divisor_override", divisor_override, 1)
    return mean_under("avg_pool2d", 2, node, window, count_include_pad, divisor, name)


# From arguments to attributes. All is done on planes; a signal is a plane of one row.


def largest_under(op: str, dims: int, x: Node, window: dict[str, Any], name: str | None) -> Node:
    planes = expand_dims(x, -2) if dims == 1 else x
    places = apply(LARGEST, [planes], window)
    picked = apply(PICK, [planes, places], name=name or op)
    return squeeze(picked, -2) if dims == 1 else picked


def mean_under(
    op: str, dims: int, x: Node, window: dict[str, Any], whole: bool, divisor: int, name: str | None
) -> Node:
    attrs = {key: value for key, value in window.items() if key not in ("dh", "dw")}
    attrs |= {"whole": int(whole), "divisor": divisor}
    y = apply(AVERAGE, [expand_dims(x, -2) if dims == 1 else x], attrs, name=name or op)
    return squeeze(y, -2) if dims == 1 else y


def _window(
    op: str,
    dims: int,
    x: Node,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    dilation: Sizes,
    ceil_mode: bool,
) -> dict[str, Any]:
    """Windows of one size, some distance apart."""
    sizes = known_sizes(op, dims, x)
    kernel = each_axis(op, "kernel_size", kernel_size, dims)
    step = kernel if stride is None else each_axis(op, "stride", stride, dims)
    outside = each_axis(op, "padding", padding, dims, least=0)
    apart = each_axis(op, "dilation", dilation, dims)
    found = tuple(
        _places(op, x, *axis, ceil_mode)
        for axis in zip(sizes, kernel, step, outside, apart, strict=True)
    )
    row = (1,) * (2 - dims)
    names = {"k": row + kernel, "s": row + step, "p": (0,) * len(row) + outside, "d": row + apart}
    return {
        "size": row + found,
        **{key + axis: value[i] for key, value in names.items() for i, axis in enumerate("hw")},
    }


def _places(op: str, x: Node, size: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> int:
    """How many windows an axis has."""
    span = d * (k - 1) + 1
    if 2 * p > k:
        raise GraphError(
            f"{op}: the padding is at most half of the kernel, so that no window is empty; got "
            f"padding={p} and kernel_size={k}. Declared at {declared_at()}."
        )
    room = size + 2 * p - span
    count = (room + (s - 1 if ceil_mode else 0)) // s + 1
    if ceil_mode and (count - 1) * s >= size + p:
        count -= 1  # the last window would begin outside
    if count < 1 or not all(taps_of(size, count, k, s, p, d)):
        raise ShapeError(
            f"{op}: the window spans {span}, but an axis of {x.name} has {size} elements, padded "
            f"by {p} on both sides; its shape is {format_shape(x.spec.shape)}. Declared at "
            f"{declared_at()}. Use a smaller kernel_size, or no pooling there."
        )
    return count


def known_sizes(op: str, dims: int, x: Node) -> list[int]:
    sizes = [dim for dim in x.spec.shape[-dims:] if not isinstance(dim, Dim)]
    if len(sizes) == dims:
        return sizes
    axes = "(..., length)" if dims == 1 else "(..., height, width)"
    raise ShapeError(
        f"{op} needs {axes}, sizes that are known; got {format_shape(x.spec.shape)} for "
        f"{x.name!r}. Declared at {declared_at()}. Over axes of any size: gn.max or gn.mean."
    )
