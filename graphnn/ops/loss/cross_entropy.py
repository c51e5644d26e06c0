"""Cross-entropy of logits, and the likelihood of log-probabilities: losses of classes.

Classes lie on the last axis: logits (..., classes).
"""

from __future__ import annotations

from graphnn.context import declared_at
from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.node import Node, NodeLike, apply, as_node, as_nodes, size_of
from graphnn.ops.elementwise.arithmetic import divide
from graphnn.ops.elementwise.cast import cast
from graphnn.ops.elementwise.choice import not_equal, where
from graphnn.ops.loss.comparison import ReductionName, reduced, refuse, refuse_raw
from graphnn.ops.loss.labels import COUNTED, CROSS_ENTROPY, NLL, one_hot
from graphnn.ops.normalisation.softmax import log_softmax
from graphnn.ops.reduction.reduce import sum
from graphnn.spec import FLOATS, TensorSpec, format_shape

__all__ = ["cross_entropy", "nll_loss"]


def cross_entropy(
    logits: NodeLike,
    labels: NodeLike,
    reduction: ReductionName = "mean",
    name: str | None = "loss",
    *,
    weight: NodeLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Node:
    """Cross-entropy of softmax(logits) with the true class: ``ln Σⱼ exp xⱼ - x[label]``.

    Parameters
    ----------
    logits
        Shape (..., classes), float: scores, not probabilities. Classes lie on the last axis; torch
        has them on axis 1.
    labels
        Shape (...,), int64 or int32: class indices in [0, classes). Or probabilities of the shape
        and dtype of ``logits``: the loss is then ``-Σⱼ pⱼ ln softmax(x)ⱼ``.
    reduction
        ``"mean"`` over all rows, ``"sum"``, or ``"none"``. With class indices the mean is weighted
        by ``weight``, and leaves out ignored rows.
    weight
        Shape (classes,): weight of each class.
    ignore_index
        Rows with this label count nothing; it need not be a class. None: every row counts, and a
        label out of range raises. (Torch ignores -100 unasked.)
    label_smoothing
        ε in [0, 1]: labels become ``(1 - ε) label + ε / classes`` (Szegedy et al., 2016).

    Raises
    ------
    ShapeError, DTypeError
        If labels are neither one whole number a row nor probabilities of the logits' shape, and
        for a single class. Labels out of range raise when data is given.
    GraphError
        If ``logits`` are the output of a softmax, and for settings out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((2, 3), name="x")
    >>> f = gn.function(x, gn.cross_entropy(x, np.array([2, 0])))
    >>> round(float(f(np.zeros((2, 3), np.float32))), 4)
    1.0986
    """
    x, y = as_nodes(logits, labels)
    _check_arguments(x, y, ignore_index, label_smoothing)
    scale = None if weight is None else class_weights(x, weight)
    if y.dtype in FLOATS:
        rows = _soft(x, y, scale, label_smoothing)
        return reduced(rows, reduction, name)
    if scale is None and ignore_index is None and not label_smoothing:
        rows = apply(CROSS_ENTROPY, [x, y], name=name if reduction == "none" else None)
        return reduced(rows, reduction, name)
    target = _counted(y, x, ignore_index)
    own = _weights_of(target, x, scale)
    rows = apply(CROSS_ENTROPY, [x, target])
    if own is not None:
        rows = rows * own
    if label_smoothing:
        logs = log_softmax(x)
        spread = sum(logs if scale is None else logs * scale, -1) / _classes(x)
        rows = rows * (1 - label_smoothing) - spread * float(label_smoothing)
    return _over_counted(rows, y, own, ignore_index, reduction, name)


def nll_loss(
    log_probabilities: NodeLike,
    labels: NodeLike,
    reduction: ReductionName = "mean",
    name: str | None = "loss",
    *,
    weight: NodeLike | None = None,
    ignore_index: int | None = None,
) -> Node:
    """Negative log-likelihood of the true class: ``-x[label]``, of x = log_softmax(logits).

    Arguments as in :func:`cross_entropy`, which is this loss after :func:`log_softmax`.

    Raises
    ------
    ShapeError, DTypeError
        As :func:`cross_entropy` does.
    GraphError
        If ``log_probabilities`` are the output of a softmax, or of a layer with nothing behind it.

    Examples
    --------
    >>> import graphnn as gn
    >>> x, label = gn.Constant([[-0.5, -2.0]]), gn.Constant([1])
    >>> float(gn.function([], gn.nll_loss(x, label))())
    2.0
    """
    x, y = as_nodes(log_probabilities, labels)
    refuse("nll_loss", x, ["softmax", "sigmoid"], "takes logarithms of probabilities (log_softmax)")
    refuse_raw(
        "nll_loss",
        x,
        "takes logarithms of probabilities, outputs of a log_softmax",
        "For logits use gn.cross_entropy, in compile loss='cross_entropy'.",
    )
    target = _counted(y, x, ignore_index)
    rows = apply(NLL, [x, target])
    own = _weights_of(target, x, None if weight is None else class_weights(x, weight))
    if own is not None:
        rows = rows * own
    return _over_counted(rows, y, own, ignore_index, reduction, name)


def _check_arguments(x: Node, y: Node, ignore_index: int | None, smoothing: float) -> None:
    where_ = f"Declared at {declared_at()}."
    if x.dtype not in FLOATS and y.dtype in FLOATS and y.ndim == x.ndim + 1:
        raise DTypeError(
            f"cross_entropy takes (logits, labels); got {x.spec} and {y.spec}, which are labels "
            f"and logits. {where_} Swap them: cross_entropy({y.name}, {x.name})."
        )
    if x.ndim and x.spec.shape[-1] == 1:
        raise ShapeError(
            f"cross_entropy needs at least two classes on the last axis; {x.name!r} has shape "
            f"{format_shape(x.spec.shape)}, and softmax of one logit is always 1. {where_} For two "
            "classes and one logit use gn.binary_cross_entropy_with_logits."
        )
    refuse("cross_entropy", x, ["softmax"], "takes logits, and its own softmax would be a second")
    if not 0 <= smoothing <= 1:
        raise GraphError(f"label_smoothing must be in [0, 1]; got {smoothing!r}. {where_}")
    if y.dtype in FLOATS and x.dtype in FLOATS:
        if x.spec.shape[:-1] == y.spec.shape:
            return  # floats in place of class indices: the rule of the op says so
        if x.spec != y.spec:
            raise (ShapeError if x.dtype == y.dtype else DTypeError)(
                "cross_entropy needs probabilities of the shape and dtype of the logits, or class "
                f"indices; got {x.spec} and {y.spec}. {where_}"
            )
        if ignore_index is not None:
            raise GraphError(
                f"ignore_index is a class index, and the labels are probabilities. {where_} "
                "Give rows that shall not count probabilities of 0."
            )


def class_weights(x: Node, weight: NodeLike) -> Node:
    """One weight a class."""
    scale = as_node(weight)
    if scale.spec != TensorSpec(x.spec.shape[-1:], x.dtype):
        raise (ShapeError if scale.dtype == x.dtype else DTypeError)(
            f"weight must be one {x.dtype} a class, {format_shape(x.spec.shape[-1:])}; got "
            f"{scale.spec}. Declared at {declared_at()}."
        )
    return scale


def _classes(x: Node) -> Node:
    return size_of(x.spec.shape[-1], x.dtype)


def _soft(x: Node, p: Node, scale: Node | None, smoothing: float) -> Node:
    if p.spec.shape != x.spec.shape:
        return apply(CROSS_ENTROPY, [x, p])  # raises, and says why
    if smoothing:
        p = p * (1 - smoothing) + smoothing / _classes(x)
    logs = log_softmax(x)
    return -sum(p * (logs if scale is None else logs * scale), -1)


def _counted(labels: Node, x: Node, ignore_index: int | None) -> Node:
    if ignore_index is None:
        return labels
    return apply(COUNTED, [labels, x], {"ignore_index": int(ignore_index)})


def _weights_of(labels: Node, x: Node, scale: Node | None) -> Node | None:
    """The weight of each row's class."""
    if scale is None:
        return None
    return sum(one_hot(labels, x.spec.shape[-1], dtype=x.dtype) * scale, -1)


def _over_counted(
    rows: Node,
    labels: Node,
    own: Node | None,
    ignore_index: int | None,
    reduction: ReductionName,
    name: str | None,
) -> Node:
    """Rows reduced; a mean is weighted, over the rows that count."""
    if ignore_index is not None:
        counts = not_equal(labels, ignore_index)
        rows = where(counts, rows, 0.0)
        one = cast(counts, rows.dtype)
        own = one if own is None else own * one
    if reduction != "mean" or own is None:
        return reduced(rows, reduction, name)
    return divide(sum(rows), sum(own), name=name)
