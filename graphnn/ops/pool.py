"""Pooling of signals and images, with torch's arguments: each window's largest, or its mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from graphnn.context import declared_at
from graphnn.errors import GraphError, ShapeError
from graphnn.hints import teaches
from graphnn.node import Node, NodeLike, apply, as_node
from graphnn.ops.movement import expand_dims, squeeze
from graphnn.ops.planes import AVERAGE, LARGEST, PICK, taps_of
from graphnn.ops.reduce import max, mean
from graphnn.ops.window import Sizes, each_axis
from graphnn.spec import Dim, format_shape

OutputSize: TypeAlias = int | Sequence[int | None]


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
    return _largest("max_pool1d", 1, node, window, name)


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
    return _largest("max_pool2d", 2, node, window, name)


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
    return _mean("avg_pool1d", 1, node, window, count_include_pad, 0, name)


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
    return _mean("avg_pool2d", 2, node, window, count_include_pad, divisor, name)


def adaptive_max_pool1d(x: NodeLike, output_size: OutputSize, name: str | None = None) -> Node:
    """The largest of each of ``output_size`` windows; see :func:`adaptive_avg_pool2d`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.adaptive_max_pool1d(gn.Input((None, 8, 100)), 4).shape
    (None, 8, 4)
    """
    node = as_node(x)
    return _largest(
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
    return _largest(
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


# From arguments to attributes. All is done on planes; a signal is a plane of one row.


def _largest(op: str, dims: int, x: Node, window: dict[str, Any], name: str | None) -> Node:
    planes = expand_dims(x, -2) if dims == 1 else x
    places = apply(LARGEST, [planes], window)
    picked = apply(PICK, [planes, places], name=name or op)
    return squeeze(picked, -2) if dims == 1 else picked


def _mean(
    op: str, dims: int, x: Node, window: dict[str, Any], whole: bool, divisor: int, name: str | None
) -> Node:
    attrs = {key: value for key, value in window.items() if key not in ("dh", "dw")}
    attrs |= {"whole": int(whole), "divisor": divisor}
    y = apply(AVERAGE, [expand_dims(x, -2) if dims == 1 else x], attrs, name=name or op)
    return squeeze(y, -2) if dims == 1 else y


def _shared_mean(op: str, dims: int, x: Node, output_size: OutputSize, name: str | None) -> Node:
    if x.ndim >= dims and output_size in (1, (1,) * dims, [1] * dims):
        return mean(x, tuple(range(-dims, 0)), keepdims=True, name=name or op)  # of any size
    return _mean(op, dims, x, _shared(op, dims, x, output_size), False, 0, name)


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
    sizes = _known_sizes(op, dims, x)
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


def _shared(op: str, dims: int, x: Node, output_size: OutputSize) -> dict[str, Any]:
    """Windows that share their axes as evenly as they can."""
    sizes = _known_sizes(op, dims, x)
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


def _known_sizes(op: str, dims: int, x: Node) -> list[int]:
    sizes = [dim for dim in x.spec.shape[-dims:] if not isinstance(dim, Dim)]
    if len(sizes) == dims:
        return sizes
    axes = "(..., length)" if dims == 1 else "(..., height, width)"
    raise ShapeError(
        f"{op} needs {axes}, sizes that are known; got {format_shape(x.spec.shape)} for "
        f"{x.name!r}. Declared at {declared_at()}. Over axes of any size: gn.max or gn.mean."
    )


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
