"""Normalisation: values moved to mean 0 and variance 1 over some axes.

The mean is taken first and the variance around it, in two passes over the data: E[x²] - E[x]²
cancels where the mean is large.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from graphnn.context import context, declared_at
from graphnn.errors import DTypeError, ShapeError
from graphnn.node import Node, NodeLike, as_node
from graphnn.ops.arithmetic import add, multiply
from graphnn.ops.elementwise import REAL, elementwise
from graphnn.ops.movement import reshape
from graphnn.ops.reduce import mean, sum_to
from graphnn.ops.tangents import added
from graphnn.spec import FLOATS, Shape, divide, format_shape, product

NORM = "#cffafe"


@elementwise(
    reference=lambda x, m: np.square(x - m),
    formula="(x - μ)²",
    color=NORM,
)
def squared_distance(x, m):  # type: ignore[no-untyped-def]
    return (x - m) * (x - m)


@squared_distance.backward
def _(dy, x, m, y):  # type: ignore[no-untyped-def]
    return 2 * dy * (x - m), -2 * dy * (x - m)


@elementwise(
    domain=[(0.1, 4.0), (0.01, 0.1)],
    reference=lambda v, eps: 1 / np.sqrt(v + eps),
    formula="1 / √(v + ε)",
    color=NORM,
)
def inverse_deviation(v, eps):  # type: ignore[no-untyped-def]
    return 1 / math.sqrt(v + eps)


@inverse_deviation.backward
def _(dy, v, eps, y):  # type: ignore[no-untyped-def]
    return -0.5 * dy * y * y * y, -0.5 * dy * y * y * y


def _standard_vjp(node: Node, dy: Node) -> list[Node | None]:
    # Summed here, so that what belongs to the mean costs no pass of its own.
    x, m, scale, shift = node.inputs
    total = sum_to(dy, shift.spec)
    d_mean = -scale * total if shift.spec == m.spec else -sum_to(dy * scale, m.spec)
    return [dy * scale, d_mean, sum_to(dy * (x - m), scale.spec), total]


def _standard_jvp(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    x, m, scale, _ = node.inputs
    dx, dm, d_scale, d_shift = tangents
    parts = [] if dx is None else [dx * scale]
    parts += [] if dm is None else [-dm * scale]
    parts += [] if d_scale is None else [(x - m) * d_scale]
    parts += [] if d_shift is None else [d_shift]
    return added(parts)


@elementwise(
    domain=[REAL, REAL, REAL, REAL],
    reference=lambda x, m, s, t: (x - m) * s + t,
    formula="(x - μ) s + t",
    color=NORM,
    vjp=_standard_vjp,
    jvp=_standard_jvp,
)
def standardized(x, m, scale, shift):  # type: ignore[no-untyped-def]
    return (x - m) * scale + shift


def statistics(x: Node, axes: Sequence[int]) -> tuple[Node, Node]:
    """Mean and biased variance over axes, which stay as axes of size 1."""
    average = mean(x, axes, keepdims=True)
    return average, mean(squared_distance(x, average), axes, keepdims=True)


def _normalized(x: Node, axes: Sequence[int], eps: float) -> Node:
    average, variance = statistics(x, axes)
    return standardized(x, average, inverse_deviation(variance, eps), 0.0)


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
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 2), name="x")
    >>> gn.function(x, gn.layer_norm(x, 2, eps=0.0))(np.float32([[1, 3], [5, 5.5]]))
    array([[-1.,  1.],
           [-1.,  1.]], dtype=float32)
    """
    node, shape = _of_last_axes("layer_norm", x, normalized_shape)
    axes = range(node.ndim - len(shape), node.ndim)
    y = _normalized(node, axes, eps)
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
    y = reshape(_normalized(groups, [2], eps), node.spec.shape)
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
    """
    node = checked("instance_norm", x, 3, "(batch, channels, ...) with at least one axis of places")
    y = _normalized(node, range(2, node.ndim), eps)
    to = (node.spec.shape[1], *[1] * (node.ndim - 2))
    return _affine("instance_norm", y, weight, bias, node.spec.shape[1:2], name, to)
