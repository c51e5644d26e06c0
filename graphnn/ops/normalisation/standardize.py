"""The ops that normalise: distances from a mean, inverse deviations, whole rows at once.

The mean is taken first and the variance around it, in two passes over the data: E[x²] - E[x]²
cancels where the mean is large.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.node import Node, apply
from graphnn.op import Draw, Example, Mismatch, Op, Rows, register
from graphnn.ops.declare.elementwise import REAL, elementwise
from graphnn.ops.declare.tangents import added
from graphnn.ops.movement.broadcast import broadcast_to
from graphnn.ops.normalisation.softmax import row_spec
from graphnn.ops.reduction.reduce import mean, sum, sum_to
from graphnn.source import Body, fast_add
from graphnn.spec import TensorSpec

__all__: list[str] = []

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
    alike = shift.spec == m.spec == scale.spec
    d_mean = -scale * total if alike else -sum_to(dy * scale, m.spec)
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
    # Repeated along all axes but the last run of them, so that the squares are summed as they are
    # computed: one loop before the reduced one in place of two.
    behind = max(axes)
    while behind - 1 in axes:
        behind -= 1
    kept = [1 if axis >= behind and axis in axes else dim for axis, dim in enumerate(x.spec.shape)]
    around = broadcast_to(average, kept)
    return average, mean(squared_distance(x, around), axes, keepdims=True)


# Rows: the last axis of each sample, of which all passes but the first find the data in the cache.


def _standardize_rows(start, stop, x, eps, out):  # type: ignore[no-untyped-def]
    columns = x.shape[1]
    for i in range(start, stop if columns else start):
        total = 0.0
        for j in range(columns):
            total = fast_add(total, x[i, j])
        middle = total / columns
        squares = 0.0
        for j in range(columns):
            out[i, j] = x[i, j] - middle
            squares = fast_add(squares, out[i, j] * out[i, j])
        scale = 1 / math.sqrt(squares / columns + eps[0])
        for j in range(columns):
            out[i, j] *= scale


def _standardize_backward_rows(start, stop, x, eps, dy, out):  # type: ignore[no-untyped-def]
    columns = x.shape[1]
    for i in range(start, stop if columns else start):
        total = 0.0
        slope = 0.0
        for j in range(columns):
            total = fast_add(total, x[i, j])
            slope = fast_add(slope, dy[i, j])
        middle = total / columns
        squares = 0.0
        along = 0.0
        for j in range(columns):
            out[i, j] = x[i, j] - middle
            squares = fast_add(squares, out[i, j] * out[i, j])
            along = fast_add(along, out[i, j] * dy[i, j])
        variance = squares / columns + eps[0]
        scale = 1 / math.sqrt(variance)
        common = slope / columns
        share = along / columns / variance
        for j in range(columns):
            out[i, j] = scale * (dy[i, j] - common - share * out[i, j])


def _standardize_spec(x: TensorSpec, eps: TensorSpec, *rest: TensorSpec) -> TensorSpec:
    if eps != TensorSpec((), x.dtype) or any(other != x for other in rest):
        raise Mismatch("a scalar eps of the dtype of x")
    return row_spec(x)


def _standardize_expand(x: Node, eps: Node) -> Node:
    average, variance = statistics(x, [x.ndim - 1])
    return standardized(x, average, inverse_deviation(variance, eps), 0.0)


def _standardize_backward_expand(x: Node, eps: Node, dy: Node) -> Node:
    # dx = r (dy - mean(dy) - y mean(y dy)): what the mean and the variance take off the cotangent.
    axes = [x.ndim - 1]
    average, variance = statistics(x, axes)
    scale = inverse_deviation(variance, eps)
    y = standardized(x, average, scale, 0.0)
    rest = dy - mean(dy, axes, keepdims=True) - y * mean(y * dy, axes, keepdims=True)
    return rest * scale


def _standardize_vjp(node: Node, dy: Node) -> list[Node | None]:
    x, eps = node.inputs
    scale = inverse_deviation(statistics(x, [x.ndim - 1])[1], eps)
    d_eps = sum(dy * node * scale * scale) * -0.5
    return [apply(STANDARDIZE_BACKWARD, [x, eps, dy]), d_eps]


def _standardize_reference(x: NDArray[Any], eps: NDArray[Any]) -> NDArray[Any]:
    centred = x - x.mean(-1, keepdims=True)
    return np.asarray(centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps))


def _backward_reference(x: NDArray[Any], eps: NDArray[Any], dy: NDArray[Any]) -> NDArray[Any]:
    y = _standardize_reference(x, eps)
    rest = dy - dy.mean(-1, keepdims=True) - y * (y * dy).mean(-1, keepdims=True)
    return np.asarray(rest / np.sqrt(x.var(-1, keepdims=True) + eps))


STANDARDIZE = register(
    Op(
        name="standardize",
        spec=_standardize_spec,
        kernel=Rows(Body(_standardize_rows), ("rows", "all", "rows")),
        reference=_standardize_reference,
        vjp=_standardize_vjp,
        expand=_standardize_expand,
        flops=lambda out, *_rest: 6 * out.size,
        examples=(
            Example((Draw((3, 5)), Draw((), 0.01, 0.1))),
            Example((Draw((2, 3, 70)), Draw((), 0.01, 0.1))),
            Example((Draw((4, 1)), Draw((), 0.1, 0.2))),
        ),
        slack=4.0,
        formula="(x - μ) / √(σ² + ε)",
        color=NORM,
    )
)
STANDARDIZE_BACKWARD = register(
    Op(
        name="standardize_backward",
        spec=_standardize_spec,
        kernel=Rows(Body(_standardize_backward_rows), ("rows", "all", "rows", "rows")),
        reference=_backward_reference,
        expand=_standardize_backward_expand,
        flops=lambda out, *_rest: 12 * out.size,
        examples=(
            Example((Draw((3, 5)), Draw((), 0.01, 0.1), Draw((3, 5)))),
            Example((Draw((2, 3, 70)), Draw((), 0.01, 0.1), Draw((2, 3, 70)))),
        ),
        vanishes=(2,),
        slack=10.0,
        formula="(dy - mean dy - y mean(y dy)) / √(σ² + ε)",
        color=NORM,
    )
)
