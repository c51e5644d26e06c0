"""Normalisation: values moved to mean 0 and variance 1 over some axes.

The mean is taken first and the variance around it, in two passes over the data: E[x²] - E[x]²
cancels where the mean is large.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphnn.context import context, declared_at
from graphnn.errors import DTypeError, ShapeError
from graphnn.node import Constant, Node, NodeLike, apply, as_node
from graphnn.ops.elementwise.arithmetic import add, multiply
from graphnn.ops.movement.reshape import reshape
from graphnn.ops.normalisation.standardize import STANDARDIZE, inverse_deviation, squared_distance
from graphnn.ops.reduction.reduce import mean
from graphnn.spec import FLOATS, Shape, divide, format_shape, product

__all__ = ["group_norm", "instance_norm", "layer_norm", "rms_norm"]


def _normalized(x: Node, last: int, eps: float) -> Node:
    """Mean 0 and variance 1 over the last axes of each sample."""
    kept = x.spec.shape[: x.ndim - last]
    rows = reshape(x, (*kept, product(x.spec.shape[x.ndim - last :])))
    found = apply(STANDARDIZE, [rows, Constant(eps, dtype=x.dtype)])
    return reshape(found, x.spec.shape)


def checked(what: str, x: NodeLike, least: int, needs: str) -> Node:
    """A node of floats with at least so many axes, or an error that names the layer."""
    node = as_node(x)
    own = ".".join([*context.get().scope, what])
    if node.dtype not in FLOATS:
        raise DTypeError(
            f"{own} needs float32 or float64; got {node.spec} for {node.name!r}. Declared at "
            f"{declared_at()}. Cast it: gn.cast(x, 'float32')."
        )
    if node.ndim < least:
        raise ShapeError(
            f"{own} needs {needs}; got {format_shape(node.spec.shape)} for {node.name!r}. "
            f"Declared at {declared_at()}."
        )
    return node


def along(what: str, name: str, value: NodeLike, x: Node, shape: Shape) -> Node:
    """A weight or a statistic of the given shape."""
    node = as_node(value)
    if node.spec.shape != shape or node.dtype != x.dtype:
        raise (ShapeError if node.dtype == x.dtype else DTypeError)(
            f"{what}: {name} must be {x.dtype} {format_shape(shape)} for an input "
            f"{x.spec}; got {node.spec}. Declared at {declared_at()}."
        )
    return node


def layer_norm(
    x: NodeLike,
    normalized_shape: int | Sequence[int],
    weight: NodeLike | None = None,
    bias: NodeLike | None = None,
    eps: float = 1e-5,
    name: str | None = None,
) -> Node:
    """``(x - mean) / √(var + ε) · weight + bias`` over the last axes of each sample.

    Ba, Kiros, Hinton, *Layer normalization* (2016).

    Parameters
    ----------
    x
        Shape (..., *normalized_shape), float.
    normalized_shape
        Sizes of the last axes, over which mean and (biased) variance are taken.
    weight, bias
        Shape ``normalized_shape``.
    eps
        Keeps the root away from 0.

    Raises
    ------
    ShapeError, DTypeError
        If the last axes, ``weight`` or ``bias`` have other sizes.

    Examples
    --------
    >>> from typing import Any

    import numpy as np
    from numpy.typing import NDArray
    >>> import graphnn as gn
    >>> x = gn.Input((None, 2), name="x")
    >>> gn.function(x, gn.layer_norm(x, 2, eps=0.0))(np.float32([[1, 3], [5, 5.5]]))
    array([[-1.,  1.],
           [-1.,  1.]], dtype=float32)
    """
    node, shape = _of_last_axes("layer_norm", x, normalized_shape)
    y = _normalized(node, len(shape), eps)
    return _affine("layer_norm", y, weight, bias, shape, name)


def rms_norm(
    x: NodeLike,
    normalized_shape: int | Sequence[int],
    weight: NodeLike | None = None,
    eps: float | None = None,
    name: str | None = None,
) -> Node:
    """``x / √(mean(x²) + ε) · weight`` over the last axes (Zhang, Sennrich, 2019).

    Parameters as in :func:`layer_norm`; ``eps=None`` is the distance from 1 to the next number of
    the dtype, as in torch.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.rms_norm(gn.Constant([3.0, 4.0, 0.0, 0.0]), 4, eps=0.0))()
    array([1.2, 1.6, 0. , 0. ], dtype=float32)
    """
    node, shape = _of_last_axes("rms_norm", x, normalized_shape)
    axes = range(node.ndim - len(shape), node.ndim)
    small = float(np.finfo(node.dtype).eps) if eps is None else eps
    squares = mean(squared_distance(node, 0.0), axes, keepdims=True)
    y = node * inverse_deviation(squares, small)
    return _affine("rms_norm", y, weight, None, shape, name)


def _of_last_axes(what: str, x: NodeLike, shape: int | Sequence[int]) -> tuple[Node, Shape]:
    wanted = (shape,) if isinstance(shape, int) else tuple(shape)
    node = checked(what, x, 1, "at least one axis")
    found = node.spec.shape[node.ndim - len(wanted) :] if len(wanted) <= node.ndim else ()
    if not wanted or found != wanted:
        raise ShapeError(
            f"{'.'.join([*context.get().scope, what])} needs x.shape[-{max(len(wanted), 1)}:] == "
            f"normalized_shape; got {format_shape(node.spec.shape)} and {format_shape(wanted)}. "
            f"Declared at {declared_at()}. Did you mean normalized_shape="
            f"{format_shape(node.spec.shape[-1:])}?"
        )
    return node, wanted


def _affine(
    what: str,
    y: Node,
    weight: NodeLike | None,
    bias: NodeLike | None,
    shape: Shape,
    name: str | None,
    to: Shape | None = None,
) -> Node:
    """``y · weight + bias``, both of ``shape``, laid along ``to``."""
    if weight is not None:
        scale = reshape(along(what, "weight", weight, y, shape), to or shape)
        y = multiply(y, scale, name=name if bias is None else None)
    if bias is not None:
        y = add(y, reshape(along(what, "bias", bias, y, shape), to or shape), name=name)
    return y


def group_norm(
    x: NodeLike,
    num_groups: int,
    weight: NodeLike | None = None,
    bias: NodeLike | None = None,
    eps: float = 1e-5,
    name: str | None = None,
) -> Node:
    """Mean and variance over groups of neighbouring channels of each sample (Wu, He, 2018).

    Parameters
    ----------
    x
        Shape (batch, channels, ...), float.
    num_groups
        Into how many groups the channels are split.
    weight, bias
        Shape (channels,).
    eps
        Keeps the root away from 0.

    Raises
    ------
    ShapeError
        If the channels do not split evenly.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.group_norm(gn.Input((None, 6, 8, 8)), num_groups=3).shape
    (None, 6, 8, 8)
    """
    node = checked("group_norm", x, 2, "(batch, channels, ...)")
    batch, channels, *rest = node.spec.shape
    each = divide(channels, num_groups) if num_groups >= 1 else None
    if each is None:
        raise ShapeError(
            f"group_norm needs channels that split into num_groups={num_groups}; got "
            f"{format_shape(node.spec.shape)}. Declared at {declared_at()}. Choose a divisor of "
            f"{channels}."
        )
    groups = reshape(node, (batch, num_groups, each * product(rest)))
    y = reshape(_normalized(groups, 1, eps), node.spec.shape)
    to = (channels, *[1] * len(rest))
    return _affine("group_norm", y, weight, bias, (channels,), name, to)


def instance_norm(
    x: NodeLike,
    weight: NodeLike | None = None,
    bias: NodeLike | None = None,
    eps: float = 1e-5,
    name: str | None = None,
) -> Node:
    """Mean and variance over the places of each channel of each sample (Ulyanov et al., 2016).

    Parameters
    ----------
    x
        Shape (batch, channels, ...), float, with at least one axis of places.
    weight, bias
        Shape (channels,).
    eps
        Keeps the root away from 0.

    Raises
    ------
    ShapeError
        If ``x`` has no axis of places, or weight or bias do not fit.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.instance_norm(gn.Input((None, 3, 8, 8))).shape
    (None, 3, 8, 8)
    """
    node = checked("instance_norm", x, 3, "(batch, channels, ...) with at least one axis of places")
    y = _normalized(node, node.ndim - 2, eps)
    to = (node.spec.shape[1], *[1] * (node.ndim - 2))
    return _affine("instance_norm", y, weight, bias, node.spec.shape[1:2], name, to)
