"""Losses of two classes by their logarithms: binary cross-entropies."""

from __future__ import annotations

import math

import numpy as np

from graphnn.context import declared_at
from graphnn.errors import ShapeError
from graphnn.node import Node, NodeLike, as_node
from graphnn.ops.declare.elementwise import REAL, elementwise
from graphnn.ops.loss.comparison import LOSS, ReductionName, paired, reduced, refuse, refuse_raw
from graphnn.spec import format_shape

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
]

_SHARE = (0.1, 0.9)


@elementwise(
    name="binary_cross_entropy",
    domain=[_SHARE, _SHARE],
    reference=lambda p, t: (
        -(t * np.maximum(np.log(p), -100) + (1 - t) * np.maximum(np.log1p(-p), -100))
    ),
    formula="-t ln p - (1 - t) ln(1 - p)",
    color=LOSS,
)
def log_loss(p, t):  # type: ignore[no-untyped-def]
    yes = math.log(p)
    no = math.log1p(-p)
    # Clamped as in torch: a certain mistake costs 100, not infinity.
    return -t * (-100 if yes < -100 else yes) - (1 - t) * (-100 if no < -100 else no)


@log_loss.backward
def _(dy, p, t, y):  # type: ignore[no-untyped-def]
    yes = math.log(p)
    no = math.log(1 - p)
    spread = p * (1 - p)
    return (
        dy * (p - t) / (1e-12 if spread < 1e-12 else spread),
        dy * ((-100 if no < -100 else no) - (-100 if yes < -100 else yes)),
    )


def _logit_reference(x, t):  # type: ignore[no-untyped-def]
    certain = np.isinf(x) & (t == (x > 0))
    linear = x * ((x >= 0) - t)
    return np.where(certain, 0, linear) + np.log1p(np.exp(-np.abs(x)))


@elementwise(
    name="binary_cross_entropy_with_logits",
    domain=[(-5.0, 5.0), REAL],
    reference=_logit_reference,
    formula="max(x, 0) - x t + ln(1 + e^-|x|)",
    color=LOSS,
)
def logit_loss(x, t):  # type: ignore[no-untyped-def]
    # Of an infinite logit and the target that it is certain of this is 0; torch's formula is nan.
    above = 0 if t == 1 else x * (1 - t)
    below = 0 if t == 0 else x * t
    return (-below if x < 0 else above) + math.log1p(math.exp(-math.fabs(x)))


@logit_loss.backward
def _(dy, x, t, y):  # type: ignore[no-untyped-def]
    return dy * (1 / (1 + math.exp(-x)) - t), -dy * x


def binary_cross_entropy(
    prediction: NodeLike,
    target: NodeLike,
    weight: NodeLike | None = None,
    reduction: ReductionName = "mean",
    name: str | None = "loss",
) -> Node:
    """Cross-entropy of probabilities of two classes: ``-t ln p - (1 - t) ln(1 - p)``.

    Logarithms are clamped at -100, as in torch. :func:`binary_cross_entropy_with_logits` is more
    exact, and takes what goes into the sigmoid.

    Parameters
    ----------
    prediction
        Probabilities in [0, 1], any shape.
    target
        The same shape and dtype: 0, 1, or probabilities.
    weight
        Factor of each loss, of a shape that broadcasts to theirs.

    Raises
    ------
    ShapeError, DTypeError
        If prediction and target differ.
    GraphError
        If ``prediction`` is the output of a layer with nothing behind it that keeps it in [0, 1].

    Examples
    --------
    >>> import graphnn as gn
    >>> p, t = gn.Constant([0.5, 0.5]), gn.Constant([1.0, 0.0])
    >>> round(float(gn.function([], gn.binary_cross_entropy(p, t))()), 4)  # ln 2
    0.6931
    """
    p, t = paired("binary_cross_entropy", prediction, target)
    refuse_raw(
        "binary_cross_entropy",
        p,
        "takes probabilities, outputs of a sigmoid",
        "For logits use gn.binary_cross_entropy_with_logits, in compile loss='bce_with_logits'; or "
        "pass gn.sigmoid of them.",
    )
    return reduced(_weighted(log_loss(p, t), weight), reduction, name)


def binary_cross_entropy_with_logits(
    prediction: NodeLike,
    target: NodeLike,
    weight: NodeLike | None = None,
    reduction: ReductionName = "mean",
    pos_weight: NodeLike | None = None,
    name: str | None = "loss",
) -> Node:
    """Cross-entropy of sigmoid(x) with targets: ``max(x, 0) - x t + ln(1 + exp(-|x|))``.

    Parameters
    ----------
    prediction
        Logits x, any shape, however large.
    target
        The same shape and dtype: 0, 1, or probabilities.
    weight
        Factor of each loss, of a shape that broadcasts to theirs.
    pos_weight
        Factor of the part of the positive class, of a shape that broadcasts to theirs.

    Raises
    ------
    ShapeError, DTypeError
        If prediction and target differ.
    GraphError
        If ``prediction`` is the output of a sigmoid.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((2,), name="x")
    >>> loss = gn.binary_cross_entropy_with_logits(x, np.float32([1, 0]), reduction="none")
    >>> gn.function(x, loss)(np.float32([10000, 10000]))
    array([    0., 10000.], dtype=float32)
    """
    what = "binary_cross_entropy_with_logits"
    x, t = paired(what, prediction, target)
    refuse(what, x, ["sigmoid", "softmax"], "takes logits, and holds the sigmoid already")
    losses = logit_loss(x, t)
    if pos_weight is not None:
        # The positive part is t ln(1 + exp(-x)), the loss with target 1.
        losses = losses + (as_node(pos_weight, x) - 1.0) * t * logit_loss(x, 1.0)
    return reduced(_weighted(losses, weight), reduction, name)


def _weighted(losses: Node, weight: NodeLike | None) -> Node:
    if weight is None:
        return losses
    found = losses * as_node(weight, losses)
    if found.spec.shape != losses.spec.shape:
        raise ShapeError(
            f"weight must broadcast to the losses, {format_shape(losses.spec.shape)}; it makes "
            f"them {format_shape(found.spec.shape)}. Declared at {declared_at()}."
        )
    return found


# Margins: targets are 1 and -1.
