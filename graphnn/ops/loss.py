"""Losses, and the accuracy that goes with them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphnn.errors import GraphError
from graphnn.node import Constant, Node, NodeLike, apply, as_node, as_nodes
from graphnn.op import Draw, Example, Mismatch, Op, Rows, Scalar, register
from graphnn.ops.arithmetic import square
from graphnn.ops.movement import broadcast_to, expand_dims
from graphnn.ops.reduce import mean, sum
from graphnn.ops.softmax import softmax
from graphnn.ops.tangents import added
from graphnn.source import Body
from graphnn.spec import FLOATS, DimLike, TensorSpec

LOSS = "#fecaca"
ReductionName: TypeAlias = Literal["mean", "sum", "none"]


def _label_spec(logits: TensorSpec, labels: TensorSpec) -> TensorSpec:
    if logits.dtype not in FLOATS:
        raise Mismatch("float logits", "Cast them: gn.cast(x, 'float32').", dtype=True)
    if labels.dtype not in ("int64", "int32"):
        raise Mismatch(
            "whole-number labels", "Declare them: gn.Input((None,), dtype='int64').", dtype=True
        )
    if logits.ndim < 1 or logits.shape[:-1] != labels.shape:
        raise Mismatch(
            "labels.shape == logits.shape[:-1]: one class index a row",
            "One-hot labels? Take their argmax.",
        )
    return TensorSpec(labels.shape, logits.dtype)


def _label_bounds(
    logits: TensorSpec, *_rest: TensorSpec, **_attrs: Any
) -> Mapping[int, tuple[int, DimLike]]:
    return {1: (0, logits.shape[-1])}


def _cross_entropy_rows(start, stop, logits, labels, out):  # type: ignore[no-untyped-def]
    classes = logits.shape[1]
    for i in range(start, stop):
        top = logits[i, 0]
        for j in range(1, classes):
            top = max(top, logits[i, j])
        total = math.exp(logits[i, 0] - top)
        for j in range(1, classes):
            total += math.exp(logits[i, j] - top)
        label = labels[i]
        if 0 <= label < classes:
            out[i] = top + math.log(total) - logits[i, label]
        else:
            out[i] = math.nan


def _cross_entropy_backward_rows(start, stop, logits, labels, dy, out):  # type: ignore[no-untyped-def]
    classes = logits.shape[1]
    for i in range(start, stop):
        top = logits[i, 0]
        for j in range(1, classes):
            top = max(top, logits[i, j])
        for j in range(classes):
            out[i, j] = math.exp(logits[i, j] - top)
        total = out[i, 0]
        for j in range(1, classes):
            total += out[i, j]
        scale = dy[i] / total
        for j in range(classes):
            out[i, j] *= scale
        label = labels[i]
        if 0 <= label < classes:
            out[i, label] -= dy[i]
        else:
            for j in range(classes):
                out[i, j] = math.nan


def _cross_entropy_reference(logits: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    normal = np.log(np.exp(shifted).sum(axis=-1))
    return np.asarray(normal - np.take_along_axis(shifted, labels[..., None], -1)[..., 0])


def _one_hot(labels: NDArray[Any], classes: int) -> NDArray[Any]:
    return np.asarray(labels[..., None] == np.arange(classes))


def _backward_reference(
    logits: NDArray[Any], labels: NDArray[Any], dy: NDArray[Any]
) -> NDArray[Any]:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p = powers / powers.sum(axis=-1, keepdims=True)
    return np.asarray((p - _one_hot(labels, logits.shape[-1])) * dy[..., None])


def _cross_entropy_vjp(node: Node, dy: Node) -> list[Node | None]:
    return [apply(CROSS_ENTROPY_BACKWARD, [*node.inputs, dy]), None]


def _backward_spec(logits: TensorSpec, _labels: TensorSpec, _dy: TensorSpec) -> TensorSpec:
    return logits


def _backward_vjp(node: Node, v: Node) -> list[Node | None]:
    # g = (p - 1[label]) dy, so dg/dlogits = dy dp/dlogits, and dg/d(dy) = p - 1[label].
    logits, labels, dy = node.inputs
    p = softmax(logits)
    weighted = v * expand_dims(dy, -1)
    d_logits = p * (weighted - sum(weighted * p, -1, keepdims=True))
    hot = one_hot(labels, logits.spec.shape[-1], dtype=logits.dtype)
    return [d_logits, None, sum(v * (p - hot), -1)]


def _cross_entropy_jvp(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    logits, labels = node.inputs
    dx, _ = tangents
    if dx is None:
        return None
    one = Constant(1, dtype=logits.dtype)
    each = broadcast_to(one, labels.spec.shape)
    return sum(apply(CROSS_ENTROPY_BACKWARD, [logits, labels, each]) * dx, -1)


def _backward_jvp(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    logits, labels, dy = node.inputs
    dx, _, ddy = tangents
    parts = []
    if dx is not None:
        p = softmax(logits)
        parts.append(p * (dx - sum(p * dx, -1, keepdims=True)) * expand_dims(dy, -1))
    if ddy is not None:
        parts.append(apply(CROSS_ENTROPY_BACKWARD, [logits, labels, ddy]))
    return added(parts)


def _flops(_out: TensorSpec, logits: TensorSpec, *_rest: TensorSpec) -> DimLike:
    return 5 * logits.size


CROSS_ENTROPY = register(
    Op(
        name="cross_entropy",
        spec=_label_spec,
        kernel=Rows(Body(_cross_entropy_rows), ("rows", "each", "each")),
        reference=_cross_entropy_reference,
        vjp=_cross_entropy_vjp,
        jvp=_cross_entropy_jvp,
        flops=_flops,
        examples=(
            Example((Draw((4, 3), -4, 4), Draw((4,), 0, 3, "int64"))),
            Example((Draw((2, 5, 7)), Draw((2, 5), 0, 7, "int64"))),
        ),
        bounds=_label_bounds,
        formula="ln Σⱼ eˣʲ - x[label]",
        color=LOSS,
    )
)
CROSS_ENTROPY_BACKWARD = register(
    Op(
        name="cross_entropy_backward",
        spec=_backward_spec,
        kernel=Rows(Body(_cross_entropy_backward_rows), ("rows", "each", "each", "rows")),
        reference=_backward_reference,
        vjp=_backward_vjp,
        jvp=_backward_jvp,
        flops=_flops,
        examples=(Example((Draw((4, 3)), Draw((4,), 0, 3, "int64"), Draw((4,)))),),
        bounds=_label_bounds,
        formula="(softmax(x) - 1[label]) dy",
        color=LOSS,
    )
)


def _one_hot_spec(labels: TensorSpec, *, classes: DimLike, dtype: str) -> TensorSpec:
    if labels.dtype not in ("int64", "int32"):
        raise Mismatch("whole-number labels", dtype=True)
    return TensorSpec((*labels.shape, classes), dtype)


def _one_hot_rows(start, stop, labels, out):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        for j in range(out.shape[1]):
            out[i, j] = 0
        if 0 <= labels[i] < out.shape[1]:
            out[i, labels[i]] = 1


ONE_HOT = register(
    Op(
        name="one_hot",
        spec=_one_hot_spec,
        kernel=Rows(Body(_one_hot_rows), ("each", "rows")),
        reference=lambda labels, *, classes, dtype: _one_hot(labels, classes).astype(dtype),
        examples=(Example((Draw((5,), 0, 4, "int64"),), {"classes": 4, "dtype": "float32"}),),
        formula="1[label = j]",
        color=LOSS,
    )
)


def one_hot(labels: NodeLike, classes: DimLike, dtype: str = "float32") -> Node:
    """Rows that are 1 at the label and 0 elsewhere: (...,) to (..., classes)."""
    return apply(ONE_HOT, [as_node(labels)], {"classes": classes, "dtype": dtype})


def reduced(losses: Node, reduction: ReductionName, name: str | None) -> Node:
    """Losses averaged, added up, or as they are."""
    if reduction == "mean":
        return mean(losses, name=name)
    if reduction == "sum":
        return sum(losses, name=name)
    if reduction == "none":
        return losses
    raise GraphError(f"reduction is 'mean', 'sum' or 'none'; got {reduction!r}")


def cross_entropy(
    logits: NodeLike,
    labels: NodeLike,
    reduction: ReductionName = "mean",
    name: str | None = "loss",
) -> Node:
    """Cross-entropy of softmax(logits) with the true class: ``ln Σⱼ exp xⱼ - x[label]``.

    Parameters
    ----------
    logits
        Shape (..., classes), float: scores, not probabilities.
    labels
        Shape (...,), int64 or int32: class indices in [0, classes).
    reduction
        ``"mean"`` over all rows, ``"sum"``, or ``"none"``.

    Raises
    ------
    ShapeError, DTypeError
        If labels are not one whole number a row. Labels out of range raise when data is given.
    """
    rows = apply(
        CROSS_ENTROPY, as_nodes(logits, labels), name=name if reduction == "none" else None
    )
    return reduced(rows, reduction, name)


def mse_loss(
    prediction: NodeLike,
    target: NodeLike,
    reduction: ReductionName = "mean",
    name: str | None = "loss",
) -> Node:
    """Squared error ``(prediction - target)²``, averaged over all elements.

    Raises
    ------
    ShapeError
        If the shapes differ: broadcasting here would hide a mistake.
    """
    left, right = as_nodes(prediction, target)
    error = apply(ERROR, [left, right])
    return reduced(square(error), reduction, name)


def _same_shape_spec(a: TensorSpec, b: TensorSpec) -> TensorSpec:
    if a.dtype != b.dtype:
        raise Mismatch("one dtype", "Cast one of them: gn.cast(x, 'float32').", dtype=True)
    if a.shape != b.shape:
        raise Mismatch(
            "prediction.shape == target.shape", "Reshape one of them, e.g. gn.expand_dims(y, -1)."
        )
    return a


def _difference(prediction, target):  # type: ignore[no-untyped-def]
    return prediction - target


def _difference_vjp(_node: Node, dy: Node) -> list[Node | None]:
    return [dy, -dy]


def _difference_jvp(_node: Node, tangents: Sequence[Node | None]) -> Node | None:
    da, db = tangents
    if da is None or db is None:
        return da if db is None else -db
    return apply(ERROR, [da, db])


ERROR = register(
    Op(
        name="error",
        spec=_same_shape_spec,
        kernel=Scalar(Body(_difference)),
        reference=lambda a, b: np.subtract(a, b),
        vjp=_difference_vjp,
        jvp=_difference_jvp,
        flops=lambda out, *_rest: out.size,
        examples=(Example((Draw((3, 2)), Draw((3, 2)))),),
        formula="ŷ - y",
        color=LOSS,
    )
)


def _correct_rows(start, stop, logits, labels, out):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        best = 0
        for j in range(1, logits.shape[1]):
            if logits[i, j] > logits[i, best]:
                best = j
        out[i] = 1 if best == labels[i] else 0


CORRECT = register(
    Op(
        name="correct",
        spec=_label_spec,
        kernel=Rows(Body(_correct_rows), ("rows", "each", "each")),
        reference=lambda x, labels: (x.argmax(-1) == labels).astype(x.dtype),
        flops=_flops,
        examples=(Example((Draw((6, 3)), Draw((6,), 0, 3, "int64"))),),
        formula="1[argmax x = label]",
        color=LOSS,
    )
)


def accuracy(logits: NodeLike, labels: NodeLike, name: str | None = "accuracy") -> Node:
    """Share of rows whose largest logit is the label's; of several largest, the first counts."""
    return mean(apply(CORRECT, as_nodes(logits, labels)), name=name)
