"""What the losses share: a prediction and a target of one shape, and how losses become one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from graphnn.context import context, declared_at
from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.node import Node, NodeLike, Parameter, apply, as_nodes
from graphnn.op import (
    Alias,
    Convolution,
    Draw,
    Example,
    Gemm,
    Mismatch,
    Op,
    Scalar,
    Strided,
    register,
)
from graphnn.ops.reduction.reduce import mean, sum
from graphnn.source import Body
from graphnn.spec import FLOATS, TensorSpec, format_shape

__all__: list[str] = []

LOSS = "#fecaca"
ReductionName: TypeAlias = Literal["mean", "sum", "none"]


def reduced(losses: Node, reduction: ReductionName, name: str | None) -> Node:
    """Losses averaged, added up, or as they are."""
    if reduction == "mean":
        return mean(losses, name=name)
    if reduction == "sum":
        return sum(losses, name=name)
    if reduction == "none":
        return losses
    raise GraphError(f"reduction is 'mean', 'sum' or 'none'; got {reduction!r}")


def paired(what: str, prediction: NodeLike, target: NodeLike) -> tuple[Node, Node]:
    """Prediction and target as nodes of one shape and one float dtype.

    Raises
    ------
    ShapeError, DTypeError
        If they differ: broadcasting in a loss hides a mistake.
    """
    a, b = as_nodes(prediction, target)
    try:
        _same_shape_spec(a.spec, b.spec)
    except Mismatch as mismatch:
        got = [str(v.spec) if mismatch.dtype else format_shape(v.spec.shape) for v in (a, b)]
        scope = ".".join(context.get().scope)
        text = (
            f"{scope}{': ' * bool(scope)}{what} needs {mismatch.expected}; got {', '.join(got)} "
            f"for {a.name!r} and {b.name!r}. Declared at {declared_at()}. {mismatch.fix}"
        )
        raise (DTypeError(text) if mismatch.dtype else ShapeError(text)) from None
    return a, b


def refuse(what: str, node: Node, made_by: Sequence[str], why: str) -> None:
    """Raise where a node that a loss takes was made by an op that the loss holds already."""
    source = node
    while isinstance(source.op.kernel, Alias | Strided):
        source = source.inputs[0]
    if source.op.name in made_by:
        raise GraphError(
            f"{what} {why}; {node.name!r} is the output of a {source.op.name} (declared at "
            f"{source.origin}). Pass what goes into the {source.op.name}: a model may still have "
            f"it behind the loss, for predictions. Declared at {declared_at()}."
        )


# Activations and the like that make no probabilities of a layer's output.
_UNBOUNDED = frozenset(
    {"relu", "leaky_relu", "elu", "selu", "celu", "softplus", "silu", "gelu", "mish", "tanh"}
    | {"dropout"}
)
_LOGARITHMS = ("log_sigmoid", "log_softmax")


def refuse_raw(what: str, node: Node, takes: str, fix: str) -> None:
    """Raise where a loss of probabilities takes the plain output of a layer.

    That is a product with what is learned, a bias perhaps, and nothing behind it that makes
    probabilities of it; of other values nobody knows where they lie.
    """
    source = node
    through = _UNBOUNDED if what == "nll_loss" else _UNBOUNDED.union(_LOGARITHMS)
    while True:
        learned = [_is_learned(value) for value in source.inputs]
        if isinstance(source.op.kernel, Alias | Strided) or source.op.name in through:
            source = source.inputs[0]
        elif source.op.name == "add" and any(learned):
            source = source.inputs[learned.index(True) - 1]  # without the bias
        else:
            break
    if isinstance(source.op.kernel, Gemm | Convolution) and any(learned):
        raise GraphError(
            f"{what} {takes}; {node.name!r} is raw: it comes out of a {source.op.name} (declared "
            f"at {source.origin}), and nothing makes probabilities of it. Declared at "
            f"{declared_at()}. {fix}"
        )


def _is_learned(value: Node) -> bool:
    while isinstance(value.op.kernel, Alias | Strided):
        value = value.inputs[0]
    return isinstance(value, Parameter) and value.learned


def _same_shape_spec(a: TensorSpec, b: TensorSpec) -> TensorSpec:
    if a.dtype != b.dtype or a.dtype not in FLOATS:
        raise Mismatch(
            "one dtype, float32 or float64", "Cast one: gn.cast(y, 'float32').", dtype=True
        )
    if a.shape != b.shape:
        fix = "Reshape one of them, e.g. gn.expand_dims(y, -1)."
        if a.shape == (*b.shape, 1):
            fix = "Reshape one: gn.expand_dims(target, -1) or gn.squeeze(prediction, -1)."
        raise Mismatch("prediction.shape == target.shape", fix)
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
        name="difference",
        spec=_same_shape_spec,
        kernel=Scalar(Body(_difference)),
        reference=lambda a, b: np.subtract(a, b),
        vjp=_difference_vjp,
        jvp=_difference_jvp,
        flops=lambda out, *_rest: out.size,
        examples=(Example((Draw((3, 2)), Draw((3, 2)))),),
        formula="ŷ - y",
        label="error",
        color=LOSS,
    )
)


def error(what: str, prediction: NodeLike, target: NodeLike) -> Node:
    """``prediction - target`` of two values of one shape."""
    return apply(ERROR, paired(what, prediction, target))
