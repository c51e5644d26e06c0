"""The ops behind the losses of classes: rows of scores, and one class index a row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.node import Constant, Node, NodeLike, apply, as_node
from graphnn.op import Draw, Example, Mismatch, Op, Rows, register
from graphnn.ops.declare.tangents import added, linear
from graphnn.ops.loss.comparison import LOSS
from graphnn.ops.movement.broadcast import broadcast_to
from graphnn.ops.movement.reshape import expand_dims
from graphnn.ops.normalisation.softmax import softmax
from graphnn.ops.reduction.reduce import sum
from graphnn.source import Body
from graphnn.spec import FLOATS, DimLike, TensorSpec, as_dtype

__all__ = ["one_hot"]


def label_spec(logits: TensorSpec, labels: TensorSpec) -> TensorSpec:
    """Shape rule of an op on logits and class indices: one number a row."""
    if logits.dtype not in FLOATS:
        raise Mismatch("float logits", "Cast them: gn.cast(x, 'float32').", dtype=True)
    if labels.dtype not in ("int64", "int32"):
        raise Mismatch(
            "whole-number labels", "Declare them: gn.Input((None,), dtype='int64').", dtype=True
        )
    if logits.ndim < 1 or logits.shape[:-1] != labels.shape:
        fix = "One-hot labels? Take their argmax."
        if logits.ndim > 2 and (logits.shape[0], *logits.shape[2:]) == labels.shape:
            order = (0, *range(2, logits.ndim), 1)
            fix = f"Classes come last, unlike in torch: gn.transpose(logits, {order})."
        raise Mismatch("labels.shape == logits.shape[:-1]: one class index a row", fix)
    if logits.shape[-1] == 0:
        raise Mismatch("at least one class on the last axis: of none, no label is right")
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
        label = labels[i]
        if 0 <= label < classes:
            scale = dy[i] / total
            own = out[i, label] / total - 1.0  # by itself: inf - inf were nan
            for j in range(classes):
                out[i, j] *= scale
            out[i, label] = own * dy[i]
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


def _backward_spec(logits: TensorSpec, labels: TensorSpec, dy: TensorSpec) -> TensorSpec:
    if dy != label_spec(logits, labels):
        raise Mismatch("one number in dy for each label, of the dtype of the logits")
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
        spec=label_spec,
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
        vanishes=(2,),
        formula="(softmax(x) - 1[label]) dy",
        color=LOSS,
    )
)


def _one_hot_spec(labels: TensorSpec, *, classes: DimLike, dtype: str) -> TensorSpec:
    if labels.dtype not in ("int64", "int32"):
        raise Mismatch("whole-number labels", dtype=True)
    return TensorSpec((*labels.shape, classes), as_dtype(dtype))


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
        bounds=lambda _labels, *, classes, dtype: {0: (0, classes)},
        formula="1[label = j]",
        color=LOSS,
    )
)


def one_hot(labels: NodeLike, classes: DimLike, dtype: str = "float32") -> Node:
    """Rows that are 1 at the label and 0 elsewhere: (...,) to (..., classes).

    Parameters
    ----------
    labels
        Shape (...,), whole numbers in [0, classes).
    classes
        How long a row is.
    dtype
        Of the result.

    Raises
    ------
    DTypeError, ShapeError
        If the labels are no whole numbers, or ``classes`` is negative.
    DataError
        For labels out of range: here where they are known, else at the call.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.one_hot(gn.Constant([2, 0]), classes=3))()
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    return apply(ONE_HOT, [as_node(labels)], {"classes": classes, "dtype": as_dtype(dtype)})


def _nll_rows(start, stop, x, labels, out):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        label = labels[i]
        out[i] = -x[i, label] if 0 <= label < x.shape[1] else math.nan


def _nll_backward_rows(start, stop, labels, dy, out):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        label = labels[i]
        inside = 0 <= label < out.shape[1]
        for j in range(out.shape[1]):
            out[i, j] = 0.0 if inside else math.nan
        if inside:
            out[i, label] = -dy[i]


def _nll_backward_spec(labels: TensorSpec, dy: TensorSpec, *, classes: DimLike) -> TensorSpec:
    if labels.shape != dy.shape:
        raise Mismatch("labels.shape == dy.shape: one class index a row")
    return TensorSpec((*labels.shape, classes), dy.dtype)


def _nll_vjp(node: Node, dy: Node) -> list[Node | None]:
    x, labels = node.inputs
    return [apply(NLL_BACKWARD, [labels, dy], {"classes": x.spec.shape[-1]}), None]


def _nll_backward_vjp(node: Node, v: Node) -> list[Node | None]:
    return [None, apply(NLL, [v, node.inputs[0]])]


def _nll_backward_jvp(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    ddy = tangents[1]
    return None if ddy is None else apply(NLL_BACKWARD, [node.inputs[0], ddy], node.attrs)


NLL = register(
    Op(
        name="nll",
        spec=label_spec,
        kernel=Rows(Body(_nll_rows), ("rows", "each", "each")),
        reference=lambda x, labels: -np.take_along_axis(x, labels[..., None], -1)[..., 0],
        vjp=_nll_vjp,
        jvp=linear,
        examples=(
            Example((Draw((4, 3)), Draw((4,), 0, 3, "int64"))),
            Example((Draw((2, 5, 7)), Draw((2, 5), 0, 7, "int32"))),
        ),
        bounds=_label_bounds,
        formula="-x[label]",
        color=LOSS,
    )
)
NLL_BACKWARD = register(
    Op(
        name="nll_backward",
        spec=_nll_backward_spec,
        kernel=Rows(Body(_nll_backward_rows), ("each", "each", "rows")),
        reference=lambda labels, dy, *, classes: np.where(
            _one_hot(labels, classes), -dy[..., None], 0
        ),
        vjp=_nll_backward_vjp,
        jvp=_nll_backward_jvp,
        examples=(Example((Draw((4,), 0, 3, "int64"), Draw((4,))), {"classes": 3}),),
        vanishes=(1,),
        formula="-1[label] dy",
        color=LOSS,
    )
)


def _counted_rows(start, stop, labels, x, out, *, ignore_index):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        out[i] = 0 if labels[i] == ignore_index else labels[i]


def _counted_spec(labels: TensorSpec, logits: TensorSpec, *, ignore_index: int) -> TensorSpec:
    label_spec(logits, labels)
    return labels


COUNTED = register(
    Op(
        name="counted_labels",
        spec=_counted_spec,
        kernel=Rows(Body(_counted_rows), ("each", "rows", "each")),
        reference=lambda labels, _x, *, ignore_index: np.where(labels == ignore_index, 0, labels),
        examples=(
            Example((Draw((6,), 0, 3, "int64"), Draw((6, 3))), {"ignore_index": 1}),
            Example((Draw((2, 5), 0, 7, "int32"), Draw((2, 5, 7))), {"ignore_index": -100}),
        ),
        bounds=lambda _labels, logits, **_attrs: {0: (0, logits.shape[-1])},
        formula="label = ignored ? 0 : label",
        color=LOSS,
    )
)
