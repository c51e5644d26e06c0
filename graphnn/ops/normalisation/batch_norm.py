"""Batch normalisation: the statistics of the batch in training, running averages in inference."""

from __future__ import annotations

from graphnn.context import declared_at, role
from graphnn.errors import GraphError, ShapeError
from graphnn.node import Node, NodeLike, Parameter, size_of
from graphnn.ops.declare.elementwise import REAL, elementwise
from graphnn.ops.elementwise.cast import cast
from graphnn.ops.elementwise.choice import maximum
from graphnn.ops.movement.reshape import reshape
from graphnn.ops.normalisation.norm import along, checked
from graphnn.ops.normalisation.standardize import NORM, inverse_deviation, standardized, statistics
from graphnn.ops.training.phase import unless_held, updating
from graphnn.spec import DimLike, Shape, format_shape, product

__all__ = ["batch_norm"]


@elementwise(
    domain=[REAL, REAL, (0.1, 0.9)],
    reference=lambda old, new, share: (1 - share) * old + share * new,
    formula="(1 - m) a + m b",
    color=NORM,
)
def running_average(old, new, share):  # type: ignore[no-untyped-def]
    return (1 - share) * old + share * new


def batch_norm(
    x: NodeLike,
    running_mean: Parameter | None = None,
    running_var: Parameter | None = None,
    weight: NodeLike | None = None,
    bias: NodeLike | None = None,
    momentum: float | None = 0.1,
    eps: float = 1e-5,
    *,
    num_batches_tracked: Parameter | None = None,
    name: str | None = None,
) -> Node:
    """``(x - μ) / √(σ² + ε) · weight + bias``, a mean and a variance for each channel.

    Ioffe, Szegedy, *Batch normalization* (2015), algorithm 1. In training μ and σ² (biased) are
    those of the batch, and move the running averages: ``running ← (1 - momentum) running +
    momentum · batch``, with the unbiased variance. In inference they are the running averages; no
    derivative flows into those. So it is in training too once ``running_mean`` is held, as
    ``module.freeze()`` does with all of a layer: its averages stay then. Without running averages
    the batch's are taken in both.

    Parameters
    ----------
    x
        Shape (batch, channels, ...), float.
    running_mean, running_var
        Parameters (channels,) with ``trainable=False``; both or none.
    weight, bias
        Shape (channels,).
    momentum
        Share of the new batch. None: the plain average of all batches, which
        ``num_batches_tracked`` counts.
    eps
        Keeps the root away from 0.
    num_batches_tracked
        Parameter, int64 (): counts the batches.

    Raises
    ------
    ShapeError, DTypeError
        If channels do not fit, or running averages would move by a batch that is declared to have
        one value a channel.
    GraphError
        If one of the running averages, or the counter for ``momentum=None``, is missing.

    Notes
    -----
    A batch that turns out to have one value a channel has variance 0, also as its unbiased one;
    torch refuses it.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 2), name="x")
    >>> f = gn.function(x, gn.batch_norm(x, eps=0.0))  # no averages: those of the batch
    >>> f(np.float32([[1, 0], [3, 8]]))
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    """
    node = checked("batch_norm", x, 2, "(batch, channels, ...)")
    axes = [0, *range(2, node.ndim)]
    channels = node.spec.shape[1:2]
    to = (1, *channels, *[1] * (node.ndim - 2))
    count = product(node.spec.shape[axis] for axis in axes)
    average, variance = statistics(node, axes)
    if running_mean is None or running_var is None:
        _check_no_averages(running_mean, running_var)
        return _scaled(node, average, variance, weight, bias, eps, to, name)
    if count == 1:
        raise ShapeError(
            f"batch_norm needs more than one value a channel to train; {node.name!r} has shape "
            f"{format_shape(node.spec.shape)}. Declared at {declared_at()}. Declare the batch axis "
            "as None, or use gn.layer_norm."
        )
    for label, given in (("running_mean", running_mean), ("running_var", running_var)):
        along("batch_norm", label, given, node, channels)
    pairs = _moved(
        (running_mean, running_var), (average, variance), count, momentum, num_batches_tracked
    )
    m = unless_held(running_mean, updating(average, pairs), reshape(running_mean, to))
    v = unless_held(running_mean, variance, reshape(running_var, to))
    return _scaled(node, m, v, weight, bias, eps, to, name)


def _check_no_averages(running_mean: Parameter | None, running_var: Parameter | None) -> None:
    if running_mean is not None or running_var is not None:
        raise GraphError(
            "batch_norm takes running_mean and running_var together, or neither. "
            f"Declared at {declared_at()}."
        )


def _scaled(
    x: Node,
    m: Node,
    v: Node,
    weight: NodeLike | None,
    bias: NodeLike | None,
    eps: float,
    to: Shape,
    name: str | None,
) -> Node:
    channels = x.spec.shape[1:2]
    scale = inverse_deviation(v, eps)
    if weight is not None:
        scale = scale * reshape(along("batch_norm", "weight", weight, x, channels), to)
    shift: NodeLike = 0.0
    if bias is not None:
        shift = reshape(along("batch_norm", "bias", bias, x, channels), to)
    return standardized(x, m, scale, shift, name=name)


def _moved(
    running: tuple[Parameter, Parameter],
    batch: tuple[Node, Node],
    count: DimLike,
    momentum: float | None,
    counter: Parameter | None,
) -> list[tuple[Parameter, Node]]:
    """The running averages after this batch."""
    if momentum is None and counter is None:
        raise GraphError(
            "batch_norm with momentum=None averages over all batches and needs "
            f"num_batches_tracked to count them. Declared at {declared_at()}."
        )
    dtype = running[0].dtype
    with role("update", forward_of=running[0]):
        seen = None if counter is None else counter + 1
        share: NodeLike
        if momentum is not None:
            share = momentum
        else:
            assert seen is not None
            share = 1.0 / cast(seen, dtype)
        n = size_of(count, dtype)
        unbiased = batch[1] * (n / maximum(n - 1.0, 1.0))
        pairs: list[tuple[Parameter, Node]] = []
        for old, new in zip(running, (batch[0], unbiased), strict=True):
            with role("update", forward_of=old):
                flat = reshape(new, old.spec.shape)
                pairs.append((old, running_average(old, flat, share)))
        if counter is not None and seen is not None:
            pairs.append((counter, seen))
    return pairs
