"""``gn.conv1d``, ``gn.conv2d`` and their transposes, with torch's arguments."""

from __future__ import annotations

from typing import Any

from graphnn.context import declared_at
from graphnn.errors import GraphError, ShapeError
from graphnn.node import Node, NodeLike, apply, as_nodes
from graphnn.op import registry
from graphnn.ops.convolution.correlation import FAMILIES
from graphnn.ops.convolution.window import Padding, Sizes, as_number, both_sides, each_axis
from graphnn.ops.movement.padding import pad
from graphnn.ops.movement.reshape import reshape
from graphnn.spec import DimLike, format_shape

__all__ = ["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d"]


def conv1d(
    x: NodeLike,
    weight: NodeLike,
    bias: NodeLike | None = None,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
    name: str | None = None,
) -> Node:
    """Cross-correlation of signals; see :func:`conv2d`.

    Parameters
    ----------
    x
        (batch, in_channels, length).
    weight
        (out_channels, in_channels / groups, kernel).
    bias, stride, padding, dilation, groups
        As in :func:`conv2d`.

    Returns
    -------
    Node
        (batch, out_channels, ⌊(length + 2 padding - dilation (kernel - 1) - 1) / stride⌋ + 1).

    Raises
    ------
    ShapeError, DTypeError, GraphError
        As :func:`conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 1, 4), name="x")
    >>> slope = gn.conv1d(x, np.float32([[[-1, 1]]]))
    >>> gn.function(x, slope)(np.float32([[[1, 4, 9, 16]]]))
    array([[[3., 5., 7.]]], dtype=float32)
    """
    return _convolved(1, x, weight, bias, stride, padding, dilation, groups, name)


def conv2d(
    x: NodeLike,
    weight: NodeLike,
    bias: NodeLike | None = None,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
    name: str | None = None,
) -> Node:
    """Cross-correlation of images, called convolution in machine learning.

    ``y[n, o, i, j] = b[o] + Σ x[n, c, s i + d u - p, s j + d v - p] w[o, c, u, v]``, summed over
    the channels c of the group of o and over the kernel's taps u, v; outside of x stand zeros
    (Goodfellow, Bengio, Courville, *Deep Learning*, 2016, eq. 9.6). The sum is a matrix product of
    the weights with the pixels under the kernel.

    Parameters
    ----------
    x
        (batch, in_channels, height, width), float32 or float64.
    weight
        (out_channels, in_channels / groups, kernel height, kernel width).
    bias
        (out_channels,), or None.
    stride, dilation
        Distance of the places that the kernel takes, and of its taps: a number, or one an axis.
    padding
        Zeros around x: a number, one an axis, ``"valid"`` for none, or ``"same"`` for as many as
        keep the size (with stride 1; where that is odd, one more stands behind than before).
        ``"circular"`` keeps the size with x itself around x, as if its edges were joined.
    groups
        Channels are split into so many groups that do not see each other.
    name
        Of the node.

    Returns
    -------
    Node
        (batch, out_channels, height', width'), each size
        ⌊(size + 2 padding - dilation (kernel - 1) - 1) / stride⌋ + 1.

    Raises
    ------
    ShapeError, DTypeError
        If channels, groups, kernel and sizes do not fit.
    GraphError
        For arguments that are no such numbers.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 3, 32, 32), name="x")
    >>> weight = gn.Parameter(np.zeros((8, 3, 5, 5), np.float32))
    >>> gn.conv2d(x, weight, stride=2, padding=2).shape
    (None, 8, 16, 16)
    """
    return _convolved(2, x, weight, bias, stride, padding, dilation, groups, name)


def _convolved(
    dims: int,
    x: NodeLike,
    weight: NodeLike,
    bias: NodeLike | None,
    stride: Sizes,
    padding: Padding,
    dilation: Sizes,
    groups: int,
    name: str | None,
) -> Node:
    op = FAMILIES[dims].forward
    node, w = as_nodes(x, weight)
    window = _window(op.name, dims, stride, dilation, groups)
    kernel = [as_number(k) for k in w.spec.shape[2:]] if _has_kernel(w, dims) else [1] * dims
    sides = both_sides(op.name, padding, dims, kernel, window["stride"], window["dilation"])
    if padding == "circular" and node.ndim == dims + 2:
        node = pad(node, ((0, 0), (0, 0), *sides), mode="circular")
        sides = ((0, 0),) * dims
    y = apply(op, [node, w], {**window, "padding": sides}, name=name if bias is None else None)
    return _with_bias(y, bias, name)


def _has_kernel(weight: Node, dims: int) -> bool:
    sizes = weight.spec.shape[2:]
    return len(sizes) == dims and all(isinstance(size, int) for size in sizes)


def _window(op: str, dims: int, stride: Sizes, dilation: Sizes, groups: int) -> dict[str, Any]:
    (number,) = each_axis(op, "groups", groups, 1)
    return {
        "stride": each_axis(op, "stride", stride, dims),
        "dilation": each_axis(op, "dilation", dilation, dims),
        "groups": number,
    }


def _with_bias(y: Node, bias: NodeLike | None, name: str | None) -> Node:
    """Each channel's bias added: an elementwise op, which joins the activation's kernel."""
    if bias is None:
        return y
    _, b = as_nodes(y, bias)
    if b.spec.shape != (y.spec.shape[1],):
        raise ShapeError(
            f"{y.op.name}: the bias has one number for each of {y.spec.shape[1]} output channels; "
            f"got {format_shape(b.spec.shape)}. Declared at {declared_at()}."
        )
    column = reshape(b, (y.spec.shape[1], *(1,) * (y.ndim - 2)))
    return apply(registry["add"], [y, column], name=name)


def conv_transpose1d(
    x: NodeLike,
    weight: NodeLike,
    bias: NodeLike | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
    name: str | None = None,
) -> Node:
    """Transposed convolution of signals; see :func:`conv_transpose2d`.

    Parameters
    ----------
    x
        (batch, in_channels, length).
    weight
        (in_channels, out_channels / groups, kernel).
    bias, stride, padding, output_padding, groups, dilation
        As in :func:`conv_transpose2d`.

    Returns
    -------
    Node
        (batch, out_channels, longer).

    Raises
    ------
    ShapeError, DTypeError, GraphError
        As :func:`conv_transpose2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 1, 2), name="x")
    >>> twice = gn.conv_transpose1d(x, np.float32([[[1, 1]]]), stride=2)
    >>> gn.function(x, twice)(np.float32([[[3, 5]]]))
    array([[[3., 3., 5., 5.]]], dtype=float32)
    """
    return _transposed(1, x, weight, bias, stride, padding, output_padding, groups, dilation, name)


def conv_transpose2d(
    x: NodeLike,
    weight: NodeLike,
    bias: NodeLike | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
    name: str | None = None,
) -> Node:
    """Transposed convolution: the gradient of a convolution with respect to its input, as an op.

    Every pixel of x puts its copy of the kernel into the result, ``stride`` apart (Zeiler et al.,
    *Deconvolutional networks*, CVPR 2010; Dumoulin, Visin, *A guide to convolution arithmetic for
    deep learning*, 2016, ch. 4).

    Parameters
    ----------
    x
        (batch, in_channels, height, width), float32 or float64.
    weight
        (in_channels, out_channels / groups, kernel height, kernel width).
    bias
        (out_channels,), or None.
    stride, dilation
        Distance of the copies, and of the kernel's taps: a number, or one an axis.
    padding
        How much is cut off at each side of the result.
    output_padding
        How much is added behind, since with a stride several sizes have the same convolution;
        less than the stride or the dilation.
    groups
        Channels are split into so many groups that do not see each other.
    name
        Of the node.

    Returns
    -------
    Node
        (batch, out_channels, height', width'), each size
        (size - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1.

    Raises
    ------
    ShapeError, DTypeError
        If channels, groups and sizes do not fit.
    GraphError
        For arguments that are no such numbers.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 8, 16, 16), name="x")
    >>> weight = gn.Parameter(np.zeros((8, 3, 4, 4), np.float32))
    >>> gn.conv_transpose2d(x, weight, stride=2, padding=1).shape
    (None, 3, 32, 32)
    """
    return _transposed(2, x, weight, bias, stride, padding, output_padding, groups, dilation, name)


def _transposed(
    dims: int,
    x: NodeLike,
    weight: NodeLike,
    bias: NodeLike | None,
    stride: Sizes,
    padding: Sizes,
    output_padding: Sizes,
    groups: int,
    dilation: Sizes,
    name: str | None,
) -> Node:
    op, called = FAMILIES[dims].input, f"conv_transpose{dims}d"
    node, w = as_nodes(x, weight)
    window = _window(called, dims, stride, dilation, groups)
    cut = each_axis(called, "padding", padding, dims, least=0)
    more = each_axis(called, "output_padding", output_padding, dims, least=0)
    sizes: list[DimLike] = [0] * dims
    if node.ndim == dims + 2 and _has_kernel(w, dims):
        for i, size in enumerate(node.spec.shape[2:]):
            s, d = window["stride"][i], window["dilation"][i]
            if more[i] >= max(s, d):
                raise GraphError(
                    f"{called}: output_padding is less than the stride or the dilation; got "
                    f"{more[i]} with stride {s} and dilation {d}. Declared at {declared_at()}."
                )
            span = d * (as_number(w.spec.shape[2 + i]) - 1) + 1
            sizes[i] = (size - 1) * s - 2 * cut[i] + span + more[i]
    # What output_padding adds beyond a stride no place of the kernel reaches: it ends before.
    behind = [p - o // s * s for p, o, s in zip(cut, more, window["stride"], strict=True)]
    sides = tuple(zip(cut, behind, strict=True))
    attrs = {"size": tuple(sizes), "padding": sides, **window}
    y = apply(op, [node, w], attrs, name=name if name and bias is None else called)
    return _with_bias(y, bias, name)
