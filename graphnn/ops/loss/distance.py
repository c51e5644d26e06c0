"""Losses that are distances of a prediction and a target: squares, absolute values."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from graphnn.errors import GraphError
from graphnn.node import Node, NodeLike
from graphnn.ops.declare.elementwise import REAL, elementwise
from graphnn.ops.elementwise.arithmetic import abs, multiply, square
from graphnn.ops.loss.comparison import LOSS, ReductionName, error, reduced
from graphnn.ops.reduction.reduce import sum

__all__ = ["huber_loss", "l1_loss", "mse_loss", "smooth_l1_loss", "squared_error"]


def mse_loss(
    prediction: NodeLike,
    target: NodeLike,
    reduction: ReductionName = "mean",
    name: str | None = "loss",
) -> Node:
    """Squared error ``(prediction - target)²``, averaged over all elements.

    Raises
    ------
    ShapeError, DTypeError
        If the shapes differ, since broadcasting here would hide a mistake; if the dtypes differ or
        are whole numbers.

    Examples
    --------
    >>> import graphnn as gn
    >>> y, t = gn.Constant([0.0, 2.0]), gn.Constant([1.0, 5.0])
    >>> float(gn.function([], gn.mse_loss(y, t))())  # (1² + 3²) / 2
    5.0
    """
    return reduced(square(error("mse_loss", prediction, target)), reduction, name)


def squared_error(
    prediction: NodeLike,
    target: NodeLike,
    reduction: Literal["half_sum", "mean", "sum", "none"] = "half_sum",
    name: str | None = "loss",
) -> Node:
    """Squared error in the forms of lectures: ``½ Σ (ŷ - y)²``, its sum or its mean.

    Parameters
    ----------
    prediction, target
        One shape, float.
    reduction
        ``"half_sum"``: ½ Σ (ŷ - y)², of which the gradient is ŷ - y; or ``"mean"``, ``"sum"``,
        ``"none"``, without the half.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> y = gn.Input((2,), name="y")
    >>> float(gn.function(y, gn.squared_error(y, np.float32([0, 0])))([1, 3]))
    5.0
    """
    squares = square(error("squared_error", prediction, target))
    if reduction == "half_sum":
        return multiply(sum(squares), 0.5, name=name)
    return reduced(squares, reduction, name)


def l1_loss(
    prediction: NodeLike,
    target: NodeLike,
    reduction: ReductionName = "mean",
    name: str | None = "loss",
) -> Node:
    """Absolute error ``|prediction - target|``; its slope at 0 is 0.

    Errors as of :func:`mse_loss`.

    Examples
    --------
    >>> import graphnn as gn
    >>> y, t = gn.Constant([0.0, 2.0]), gn.Constant([1.0, 5.0])
    >>> float(gn.function([], gn.l1_loss(y, t))())  # (1 + 3) / 2
    2.0
    """
    return reduced(abs(error("l1_loss", prediction, target)), reduction, name)


@elementwise(
    name="huber",
    domain=[REAL, (0.4, 1.5)],
    reference=lambda e, d: np.where(np.abs(e) <= d, 0.5 * e * e, d * (np.abs(e) - 0.5 * d)),
    formula="|e| ≤ δ ? e²/2 : δ (|e| - δ/2)",
    color=LOSS,
)
def huber(e, delta):  # type: ignore[no-untyped-def]
    return 0.5 * e * e if math.fabs(e) <= delta else delta * (math.fabs(e) - 0.5 * delta)


@huber.backward
def _(dy, e, delta, y):  # type: ignore[no-untyped-def]
    return (
        dy * (e if math.fabs(e) <= delta else (delta if e > 0 else -delta)),
        0 if math.fabs(e) <= delta else dy * (math.fabs(e) - delta),
    )


def huber_loss(
    prediction: NodeLike,
    target: NodeLike,
    reduction: ReductionName = "mean",
    delta: float = 1.0,
    name: str | None = "loss",
) -> Node:
    """A square near 0 and a line beyond ``delta`` (Huber, 1964): ``e²/2``, or ``δ (|e| - δ/2)``.

    Raises
    ------
    GraphError
        If ``delta`` is not positive; else as :func:`mse_loss`.

    Examples
    --------
    >>> import graphnn as gn
    >>> y, t = gn.Constant([0.0, 2.0]), gn.Constant([1.0, 5.0])
    >>> gn.function([], gn.huber_loss(y, t, reduction="none"))()
    array([0.5, 2.5], dtype=float32)
    """
    if not delta > 0:
        raise GraphError(f"huber_loss needs delta > 0; got delta={delta!r}")
    return reduced(huber(error("huber_loss", prediction, target), delta), reduction, name)


def smooth_l1_loss(
    prediction: NodeLike,
    target: NodeLike,
    reduction: ReductionName = "mean",
    beta: float = 1.0,
    name: str | None = "loss",
) -> Node:
    """``e²/(2β)`` where ``|e| < β``, else ``|e| - β/2`` (Girshick, *Fast R-CNN*, 2015, eq. 3).

    ``beta=0`` is the absolute error.

    Raises
    ------
    GraphError
        If ``beta`` is negative; else as :func:`mse_loss`.

    Examples
    --------
    >>> import graphnn as gn
    >>> y, t = gn.Constant([0.0, 2.0]), gn.Constant([1.0, 5.0])
    >>> gn.function([], gn.smooth_l1_loss(y, t, reduction="none", beta=2.0))()
    array([0.25, 2.  ], dtype=float32)
    """
    if not beta >= 0:
        raise GraphError(f"smooth_l1_loss needs beta >= 0; got beta={beta!r}")
    distance = error("smooth_l1_loss", prediction, target)
    losses = abs(distance) if beta == 0 else huber(distance, beta) / float(beta)
    return reduced(losses, reduction, name)


# Likelihoods.
