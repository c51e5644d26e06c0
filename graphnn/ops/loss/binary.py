"""Losses of two classes: logarithms, margins, angles."""

from __future__ import annotations

import math

import numpy as np

from graphnn.context import declared_at
from graphnn.errors import GraphError, ShapeError
from graphnn.hints import teaches
from graphnn.node import Node, NodeLike, apply, as_node, as_nodes, size_of
from graphnn.ops.activation.sigmoid import relu
from graphnn.ops.declare.elementwise import REAL, elementwise
from graphnn.ops.elementwise.arithmetic import divide, sqrt
from graphnn.ops.elementwise.choice import equal, maximum, not_equal, where
from graphnn.ops.loss.comparison import LOSS, ReductionName, paired, reduced, refuse, refuse_raw
from graphnn.ops.loss.cross_entropy import class_weights
from graphnn.ops.loss.labels import NLL, one_hot
from graphnn.ops.movement.reshape import expand_dims
from graphnn.ops.reduction.reduce import sum
from graphnn.spec import format_shape

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cosine_similarity",
    "hinge_embedding_loss",
    "hinge_loss",
    "multi_margin_loss",
    "soft_margin_loss",
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


def hinge_loss(
    prediction: NodeLike,
    target: NodeLike,
    reduction: ReductionName = "mean",
    name: str | None = "loss",
) -> Node:
    """Loss of the support vector machine, ``max(0, 1 - t x)``; targets are 1 and -1.

    Cortes, Vapnik, *Support-vector networks* (1995).

    Raises
    ------
    ShapeError, DTypeError
        If prediction and target differ in shape or dtype, or are no floats.

    Examples
    --------
    >>> import graphnn as gn
    >>> x, t = gn.Constant([2.0, -3.0]), gn.Constant([1.0, 1.0])
    >>> gn.function([], gn.hinge_loss(x, t, reduction="none"))()
    array([0., 4.], dtype=float32)
    """
    x, t = paired("hinge_loss", prediction, target)
    return reduced(relu(1.0 - t * x), reduction, name)


def hinge_embedding_loss(
    prediction: NodeLike,
    target: NodeLike,
    margin: float = 1.0,
    reduction: ReductionName = "mean",
    name: str | None = "loss",
) -> Node:
    """Of a distance x: ``x`` where the target is 1, ``max(0, margin - x)`` where it is -1.

    Raises
    ------
    ShapeError, DTypeError
        If prediction and target differ in shape or dtype, or are no floats.

    Examples
    --------
    >>> import graphnn as gn
    >>> x, t = gn.Constant([0.25, 0.25]), gn.Constant([1.0, -1.0])
    >>> gn.function([], gn.hinge_embedding_loss(x, t, reduction="none"))()
    array([0.25, 0.75], dtype=float32)
    """
    x, t = paired("hinge_embedding_loss", prediction, target)
    near = where(not_equal(t, -1.0), x, 0.0)
    far = where(not_equal(t, 1.0), relu(float(margin) - x), 0.0)
    return reduced(near + far, reduction, name)


def soft_margin_loss(
    prediction: NodeLike,
    target: NodeLike,
    reduction: ReductionName = "mean",
    name: str | None = "loss",
) -> Node:
    """``ln(1 + exp(-t x))``; targets are 1 and -1. It does not overflow, as torch's does.

    Raises
    ------
    ShapeError, DTypeError
        If prediction and target differ in shape or dtype, or are no floats.

    Examples
    --------
    >>> import graphnn as gn
    >>> x, t = gn.Constant([2.0, -3.0]), gn.Constant([1.0, 1.0])
    >>> gn.soft_margin_loss(x, t).shape
    ()
    """
    x, t = paired("soft_margin_loss", prediction, target)
    return reduced(logit_loss(t * x, 1.0), reduction, name)


def multi_margin_loss(
    prediction: NodeLike,
    labels: NodeLike,
    p: int = 1,
    margin: float = 1.0,
    weight: NodeLike | None = None,
    reduction: ReductionName = "mean",
    name: str | None = "loss",
) -> Node:
    """Hinge loss of classes: ``Σ_{j≠y} max(0, margin - x[y] + x[j])^p / classes``.

    Parameters
    ----------
    prediction
        Shape (..., classes), float.
    labels
        Shape (...,), whole numbers.
    p
        1 or 2.
    weight
        Shape (classes,): factor of the losses of each class.

    Raises
    ------
    ShapeError, DTypeError
        If the labels are no whole numbers, one a row.
    GraphError
        For another ``p``.

    Examples
    --------
    >>> import graphnn as gn
    >>> x, label = gn.Constant([[0.5, 2.0, 1.5, 1.5]]), gn.Constant([1])
    >>> float(gn.function([], gn.multi_margin_loss(x, label))())  # (0 + 0.5 + 0.5) / 4
    0.25
    """
    if p not in (1, 2):
        raise GraphError(f"multi_margin_loss needs p = 1 or 2; got p={p!r}")
    x, y = as_nodes(prediction, labels)
    own = -expand_dims(apply(NLL, [x, y]), -1)
    hot = one_hot(y, x.spec.shape[-1], dtype=x.dtype)
    lacking = relu(float(margin) - own + x)
    powers = lacking if p == 1 else lacking * lacking
    if weight is not None:
        powers = powers * sum(hot * class_weights(x, weight), -1, keepdims=True)
    classes = size_of(x.spec.shape[-1], x.dtype)
    return reduced(sum(powers * (1.0 - hot), -1) / classes, reduction, name)


# Angles.


@teaches
def cosine_similarity(
    x1: NodeLike, x2: NodeLike, dim: int = 1, eps: float = 1e-8, name: str | None = None
) -> Node:
    """Cosine of the angle between vectors along ``dim``: ``x1·x2 / (|x1| |x2|)``.

    Lengths below ``eps`` count as ``eps``. Shapes broadcast.

    Examples
    --------
    >>> import graphnn as gn
    >>> a, b = gn.Constant([[1.0, 0.0]]), gn.Constant([[3.0, 4.0]])
    >>> gn.function([], gn.cosine_similarity(a, b))()
    array([0.6], dtype=float32)
    """
    a, b = as_nodes(x1, x2)
    lengths = [sqrt(maximum(sum(v * v, dim), eps * eps)) for v in (a, b)]
    return divide(sum(a * b, dim), lengths[0] * lengths[1], name=name)


def cosine_embedding_loss(
    x1: NodeLike,
    x2: NodeLike,
    target: NodeLike,
    margin: float = 0.0,
    reduction: ReductionName = "mean",
    name: str | None = "loss",
) -> Node:
    """``1 - cos`` where the target is 1, ``max(0, cos - margin)`` where it is -1.

    Parameters
    ----------
    x1, x2
        Shape (..., features), float.
    target
        Shape (...,): 1 for pairs that are alike, -1 for others; of the dtype of ``x1``.

    Raises
    ------
    ShapeError, DTypeError
        If the shapes do not fit, or the dtypes differ or are no floats.

    Examples
    --------
    >>> import graphnn as gn
    >>> a, b = gn.Constant([[1.0, 0.0]]), gn.Constant([[0.0, 4.0]])
    >>> float(gn.function([], gn.cosine_embedding_loss(a, b, gn.Constant([1.0])))())
    1.0
    """
    a, b = paired("cosine_embedding_loss", x1, x2)
    tiny = 1e-12  # as in torch: a vector of zeros is at right angles to all
    squares = [sum(v * v, -1) + tiny for v in (a, b)]
    cosine = sum(a * b, -1) / sqrt(squares[0] * squares[1])
    cosine, t = paired("cosine_embedding_loss", cosine, target)
    alike = where(equal(t, 1.0), 1.0 - cosine, 0.0)
    apart = where(equal(t, -1.0), relu(cosine - float(margin)), 0.0)
    return reduced(alike + apart, reduction, name)
