"""Measures of quality that have no gradient: shares of right answers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.context import declared_at
from graphnn.errors import GraphError, ShapeError
from graphnn.node import Node, NodeLike, apply, as_nodes
from graphnn.op import Draw, Example, Op, Rows, register
from graphnn.ops.elementwise.cast import cast
from graphnn.ops.elementwise.choice import equal, greater
from graphnn.ops.loss.comparison import LOSS
from graphnn.ops.loss.labels import label_spec
from graphnn.ops.reduction.reduce import mean
from graphnn.source import Body
from graphnn.spec import FLOATS, DimLike, TensorSpec, format_shape

__all__ = ["accuracy", "binary_accuracy", "top_k_accuracy"]


def _flops(_out: TensorSpec, logits: TensorSpec, *_rest: TensorSpec, **_attrs: Any) -> DimLike:
    return logits.size


def _correct_rows(start, stop, logits, labels, out):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        best, known = 0, 0
        for j in range(logits.shape[1]):
            if logits[i, j] > logits[i, best]:
                best = j
            known += logits[i, j] == logits[i, j]
        out[i] = 1 if best == labels[i] and known == logits.shape[1] else 0


def _correct_reference(x: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    known = ~np.isnan(x).any(-1)
    return np.asarray((x.argmax(-1) == labels) & known, dtype=x.dtype)


CORRECT = register(
    Op(
        name="correct",
        spec=label_spec,
        kernel=Rows(Body(_correct_rows), ("rows", "each", "each")),
        reference=_correct_reference,
        flops=_flops,
        fits=lambda logits, _labels: [logits.shape[-1] - 1],
        examples=(Example((Draw((6, 3)), Draw((6,), 0, 3, "int64"))),),
        formula="1[argmax x = label]",
        color=LOSS,
    )
)


def _among_top_rows(start, stop, logits, labels, out, *, k):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        label = labels[i]
        before, known = 0, 0
        if 0 <= label < logits.shape[1]:
            for j in range(logits.shape[1]):
                other, own = logits[i, j], logits[i, label]
                before += (other > own) | ((other == own) & (j < label))
                known += other == other
        out[i] = 1 if before < k and known == logits.shape[1] else 0


def _among_top_reference(x: NDArray[Any], labels: NDArray[Any], *, k: int) -> NDArray[Any]:
    known = ~np.isnan(x).any(-1)
    best = np.argsort(-x, axis=-1, kind="stable")[..., :k]
    return np.asarray((best == labels[..., None]).any(-1) & known, dtype=x.dtype)


def _top_spec(logits: TensorSpec, labels: TensorSpec, *, k: int) -> TensorSpec:
    return label_spec(logits, labels)


AMONG_TOP = register(
    Op(
        name="among_top",
        spec=_top_spec,
        kernel=Rows(Body(_among_top_rows), ("rows", "each", "each")),
        reference=_among_top_reference,
        flops=_flops,
        fits=lambda logits, _labels, **_attrs: [logits.shape[-1] - 1],
        examples=(
            Example((Draw((9, 6)), Draw((9,), 0, 6, "int64")), {"k": 2}),
            Example((Draw((2, 5, 3)), Draw((2, 5), 0, 3, "int32")), {"k": 1}),
        ),
        formula="1[label among the k largest x]",
        color=LOSS,
    )
)


def accuracy(logits: NodeLike, labels: NodeLike, name: str | None = "accuracy") -> Node:
    """Share of rows whose largest logit is the label's; of several largest, the first counts.

    A row that holds a NaN is wrong.

    Parameters
    ----------
    logits
        Shape (..., classes), float.
    labels
        Shape (...,), int64 or int32.
    name
        Of the node.

    Raises
    ------
    ShapeError, DTypeError
        If the labels are no whole numbers, one a row.

    Examples
    --------
    >>> import graphnn as gn
    >>> x, labels = gn.Constant([[2.0, 1.0], [0.0, 3.0]]), gn.Constant([0, 0])
    >>> float(gn.function([], gn.accuracy(x, labels))())
    0.5
    """
    return mean(apply(CORRECT, as_nodes(logits, labels)), name=name)


def top_k_accuracy(
    logits: NodeLike, labels: NodeLike, k: int = 5, name: str | None = "top_k"
) -> Node:
    """Share of rows whose label is among the ``k`` largest logits; of equal ones the first count.

    A row that holds a NaN is wrong. With k = 1 it is :func:`accuracy`.

    Parameters
    ----------
    logits
        Shape (..., classes), float.
    labels
        Shape (...,), int64 or int32.
    k
        A whole number >= 1.
    name
        Of the node.

    Raises
    ------
    ShapeError, DTypeError
        If the labels are no whole numbers, one a row.
    GraphError
        If ``k`` is no such number.

    Examples
    --------
    >>> import graphnn as gn
    >>> x, labels = gn.Constant([[0.1, 0.5, 0.4], [0.8, 0.1, 0.0]]), gn.Constant([2, 2])
    >>> float(gn.function([], gn.top_k_accuracy(x, labels, k=2))())
    0.5
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise GraphError(
            f"top_k_accuracy: k is a whole number >= 1; got {k!r}. Declared at {declared_at()}."
        )
    return mean(apply(AMONG_TOP, as_nodes(logits, labels), {"k": int(k)}), name=name)


def binary_accuracy(
    prediction: NodeLike,
    target: NodeLike,
    threshold: float = 0.5,
    *,
    logits: bool,
    name: str | None = "accuracy",
) -> Node:
    """Share of answers on the right side of ``threshold``, a probability.

    Parameters
    ----------
    prediction
        Float, any shape.
    target
        The same shape: 0 or 1, as floats, whole numbers or bools.
    threshold
        Above it, the answer is 1; in (0, 1).
    logits
        True: ``prediction`` are logits; False: they are probabilities.

    Raises
    ------
    ShapeError
        If the shapes differ.
    GraphError
        If the threshold is out of range.

    Examples
    --------
    >>> import graphnn as gn
    >>> p, t = gn.Constant([0.9, 0.2, 0.6]), gn.Constant([1, 0, 0])
    >>> round(float(gn.function([], gn.binary_accuracy(p, t, logits=False))()), 4)
    0.6667
    """
    x, y = as_nodes(prediction, target)
    if not 0 < threshold < 1:
        raise GraphError(f"threshold is a probability in (0, 1); got {threshold!r}")
    if x.spec.shape != y.spec.shape:
        raise ShapeError(
            "binary_accuracy needs prediction.shape == target.shape; got "
            f"{format_shape(x.spec.shape)}, {format_shape(y.spec.shape)}. Declared at "
            f"{declared_at()}. Reshape one of them, e.g. gn.expand_dims(y, -1)."
        )
    border = math.log(threshold / (1 - threshold)) if logits else threshold
    said = greater(x, float(border))
    true = greater(y, 0.5) if y.dtype in FLOATS else cast(y, "bool")
    return mean(cast(equal(said, true), x.dtype), name=name)
