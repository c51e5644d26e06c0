"""Losses that are likelihoods of a target of the prediction's shape."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from graphnn.errors import ShapeError
from graphnn.node import Node, NodeLike, apply, as_node, size_of
from graphnn.ops.declare.elementwise import REAL, elementwise
from graphnn.ops.elementwise.arithmetic import divide, exp, log, square
from graphnn.ops.elementwise.choice import maximum, where
from graphnn.ops.loss.comparison import ERROR, LOSS, ReductionName, paired, reduced
from graphnn.ops.movement.copy import stop_gradient
from graphnn.ops.reduction.reduce import sum

__all__ = ["gaussian_nll_loss", "kl_div", "poisson_nll_loss"]


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
