"""Losses of a prediction and a target of one shape: squares, distances, likelihoods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from graphnn.context import context, declared_at
from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.node import Node, NodeLike, Parameter, apply, as_node, as_nodes, size_of
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
from graphnn.ops.arithmetic import abs, divide, exp, log, multiply, square
from graphnn.ops.choice import maximum, where
from graphnn.ops.elementwise import REAL, elementwise
from graphnn.ops.movement import stop_gradient
from graphnn.ops.reduce import mean, sum
from graphnn.source import Body
from graphnn.spec import FLOATS, TensorSpec, format_shape

LOSS = "#fecaca"
ReductionName: TypeAlias = Literal["mean", "sum", "none"]


# What all losses share.


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


# Squares and distances.


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


@elementwise(
    name="relative_entropy",
    domain=[REAL, (0.1, 1.0)],
    reference=lambda q, p: np.where((p == 0) & (q == q), 0, p * (np.log(p) - q)),
    formula="p (ln p - q)",
    color=LOSS,
)
def relative_entropy(q, p):  # type: ignore[no-untyped-def]
    return 0 if p == 0 and q == q else p * (math.log(p) - q)  # 0 ln 0 = 0, but nan stays


@relative_entropy.backward
def _(dy, q, p, y):  # type: ignore[no-untyped-def]
    return -dy * p, 0 if p == 0 else dy * (math.log(p) + 1 - q)


def kl_div(
    prediction: NodeLike,
    target: NodeLike,
    reduction: Literal["mean", "batchmean", "sum", "none"] = "mean",
    log_target: bool = False,
    name: str | None = "loss",
) -> Node:
    """Kullback-Leibler divergence ``p (ln p - ln q)`` of ``target`` p from ``prediction`` ln q.

    Kullback, Leibler, *On information and sufficiency* (1951).

    Parameters
    ----------
    prediction
        Logarithms of probabilities, as :func:`log_softmax` makes them.
    target
        Probabilities of the same shape; with ``log_target``, their logarithms.
    reduction
        ``"mean"`` over all elements, as in torch; ``"batchmean"``, the sum divided by the first
        axis, is the divergence itself.

    Errors as of :func:`mse_loss`.

    Examples
    --------
    >>> import graphnn as gn
    >>> q, p = gn.Constant([[0.0, 0.0]]), gn.Constant([[1.0, 0.0]])
    >>> divergence = gn.kl_div(gn.log_softmax(q), p, reduction="batchmean")
    >>> round(float(gn.function([], divergence)()), 4)  # ln 2
    0.6931
    """
    q, p = paired("kl_div", prediction, target)
    losses = exp(p) * (p - q) if log_target else relative_entropy(q, p)
    if reduction != "batchmean":
        return reduced(losses, reduction, name)
    if not q.ndim:
        raise ShapeError(f"kl_div: reduction='batchmean' needs a batch axis; {q.name} is a scalar")
    return divide(sum(losses), size_of(q.spec.shape[0], q.dtype), name=name)


def poisson_nll_loss(
    prediction: NodeLike,
    target: NodeLike,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: ReductionName = "mean",
    name: str | None = "loss",
) -> Node:
    """Negative log-likelihood of counts: ``exp x - y x``, or ``x - y ln(x + ε)``.

    Parameters
    ----------
    prediction
        Logarithm of the rate; with ``log_input=False`` the rate itself.
    target
        Counts, as floats, of the same shape.
    full
        Whether Stirling's approximation of ln y! is added where y > 1.
    eps
        Keeps the logarithm of a rate of 0 finite.

    Examples
    --------
    >>> import graphnn as gn
    >>> x, counts = gn.Constant([0.0, 0.0]), gn.Constant([2.0, 0.0])
    >>> float(gn.function([], gn.poisson_nll_loss(x, counts))())  # rates exp 0
    1.0
    """
    x, y = paired("poisson_nll_loss", prediction, target)
    losses = exp(x) - y * x if log_input else x - y * log(x + eps)
    if full:
        many = maximum(y, 1.0)
        stirling = many * log(many) - many + log(many * (2 * math.pi)) * 0.5
        losses = losses + where(y > 1.0, stirling, 0.0)
    return reduced(losses, reduction, name)


def gaussian_nll_loss(
    prediction: NodeLike,
    target: NodeLike,
    var: NodeLike,
    full: bool = False,
    eps: float = 1e-6,
    reduction: ReductionName = "mean",
    name: str | None = "loss",
) -> Node:
    """Negative log-likelihood of a Gaussian: ``½ (ln σ² + (x - y)² / σ²)`` (Nix, Weigend, 1994).

    Parameters
    ----------
    prediction, target
        One shape, float.
    var
        The variances σ²: of the same shape, or of one that broadcasts to it. Smaller ones than
        ``eps`` count as ``eps``; their gradient is taken there.
    full
        Whether the constant ``½ ln 2π`` is added.

    Errors as of :func:`mse_loss`.

    Examples
    --------
    >>> import graphnn as gn
    >>> y, t = gn.Constant([0.0, 0.0]), gn.Constant([1.0, 3.0])
    >>> float(gn.function([], gn.gaussian_nll_loss(y, t, gn.Constant([1.0, 1.0])))())
    2.5
    """
    x, y = paired("gaussian_nll_loss", prediction, target)
    given = as_node(var, x)
    spread = given + stop_gradient(maximum(given, eps) - given)
    losses = (log(spread) + square(apply(ERROR, [x, y])) / spread) * 0.5
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return reduced(losses, reduction, name)
