"""Losses of margins and angles: hinges, the distance of scores, the likeness of vectors."""

from __future__ import annotations

from graphnn.errors import GraphError
from graphnn.node import Node, NodeLike, apply, as_nodes, size_of
from graphnn.ops.activation.sigmoid import relu
from graphnn.ops.elementwise.arithmetic import divide, sqrt
from graphnn.ops.elementwise.choice import equal, maximum, not_equal, where
from graphnn.ops.loss.binary import logit_loss
from graphnn.ops.loss.comparison import ReductionName, paired, reduced
from graphnn.ops.loss.cross_entropy import class_weights
from graphnn.ops.loss.labels import NLL, one_hot
from graphnn.ops.movement.reshape import expand_dims
from graphnn.ops.reduction.reduce import sum

__all__ = [
    "cosine_embedding_loss",
    "cosine_similarity",
    "hinge_embedding_loss",
    "hinge_loss",
    "multi_margin_loss",
    "soft_margin_loss",
]


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
