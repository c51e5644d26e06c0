"""Gradient clipping: by the norm of all gradients together, or by value."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphnn.context import role
from graphnn.errors import GraphError
from graphnn.node import Node
from graphnn.ops.elementwise.arithmetic import abs, power, sqrt, square
from graphnn.ops.elementwise.cast import cast
from graphnn.ops.elementwise.choice import minimum
from graphnn.ops.elementwise.rounding import clip
from graphnn.ops.movement.joining import concat
from graphnn.ops.movement.reshape import reshape
from graphnn.ops.reduction.reduce import max, sum
from graphnn.optim.checks import check_positive, number
from graphnn.spec import FLOATS

EPS = 1e-6  # torch's


def get_total_norm(tensors: Sequence[Node], norm_type: float = 2.0) -> Node:
    """The norm of all elements of several nodes, as if they were one vector.

    One pass over each, then one over what the passes left: the number of kernels does not grow with
    the number of nodes. Sums are float64, so that float32 squares do not overflow.

    Parameters
    ----------
    tensors
        Floats of any shapes and dtypes.
    norm_type
        p > 0 of the norm (Σ |x|ᵖ)^(1/p); ``math.inf`` is the largest absolute value.

    Returns
    -------
    Node
        float64 scalar.

    Raises
    ------
    GraphError
        If there is no node, one is no float, or p is not > 0.

    Examples
    --------
    >>> import graphnn as gn
    >>> parts = [gn.Constant([3.0]), gn.Constant([[0.0, 4.0]])]
    >>> float(gn.function([], gn.optim.get_total_norm(parts))())
    5.0
    """
    nodes = list(tensors)
    _check_floats("get_total_norm", nodes)
    number("norm_type", norm_type)
    if not norm_type > 0:
        raise GraphError(f"norm_type={norm_type!r} is out of range: it must be > 0, or math.inf")
    reduced = max if norm_type == math.inf else sum
    with role("update"):
        parts = []
        for node in nodes:
            with role("update", forward_of=node.forward_of):
                powers = _power(cast(node, "float64"), norm_type)
                # Rows stay apart, so that threads share them.
                part = reduced(powers, None if node.ndim < 2 else range(1, node.ndim))
                parts.append(reshape(part, -1))
        total = reduced(concat(parts) if len(parts) > 1 else parts[0])
        return _root(total, norm_type)


def _power(x: Node, p: float) -> Node:
    if p == 2:
        return square(x)
    return abs(x) if p in (1, math.inf) else power(abs(x), p)


def _root(total: Node, p: float) -> Node:
    if p == 2:
        return sqrt(total)
    return total if p in (1, math.inf) else power(total, 1 / p)


def clip_grad_norm(
    grads: Sequence[Node], max_norm: float, norm_type: float = 2.0
) -> tuple[list[Node], Node]:
    """Scale gradients together so that their norm is at most ``max_norm``.

    ``g ← g min(1, max_norm / (‖g‖ + 1e-6))``, ‖g‖ over all of them: torch's ``clip_grad_norm_``,
    but as new nodes. Pascanu, Mikolov & Bengio, *On the difficulty of training recurrent neural
    networks* (ICML 2013), algorithm 1. The factor joins the kernel of whatever reads the gradients.

    Parameters
    ----------
    grads
        Gradients, as from ``gn.grad(loss, parameters)``.
    max_norm
        > 0.
    norm_type
        As for :func:`get_total_norm`.

    Returns
    -------
    list of nodes, node
        The clipped gradients; their norm before, float64, to be watched.

    Raises
    ------
    GraphError
        If there is no gradient, or a setting is out of range.

    Examples
    --------
    >>> import graphnn as gn
    >>> grads = [gn.Constant([3.0]), gn.Constant([0.0, 4.0])]
    >>> clipped, norm = gn.optim.clip_grad_norm(grads, max_norm=1.0)
    >>> [g.round(3).tolist() for g in gn.function([], [*clipped, norm])()]
    [[0.6000000238418579], [0.0, 0.800000011920929], 5.0]
    """
    check_positive("max_norm", max_norm)
    norm = get_total_norm(grads, norm_type)
    with role("update"):
        factor = minimum(max_norm / (norm + EPS), 1.0)
        return [_scaled(each, factor) for each in grads], norm


def _scaled(gradient: Node, factor: Node) -> Node:
    with role("update", forward_of=gradient.forward_of):
        return gradient * cast(factor, gradient.dtype)


def clip_grad_value(grads: Sequence[Node], clip_value: float) -> list[Node]:
    """Cut each element of the gradients to [-clip_value, clip_value].

    Torch's ``clip_grad_value_``, but as new nodes. It turns the direction of descent, which
    :func:`clip_grad_norm` keeps.

    Parameters
    ----------
    grads
        Gradients, as from ``gn.grad(loss, parameters)``.
    clip_value
        > 0.

    Raises
    ------
    GraphError
        If there is no gradient, or ``clip_value`` is out of range.

    Examples
    --------
    >>> import graphnn as gn
    >>> clipped = gn.optim.clip_grad_value([gn.Constant([-3.0, 0.5])], clip_value=1.0)
    >>> gn.function([], clipped)()
    [array([-1. ,  0.5], dtype=float32)]
    """
    nodes = list(grads)
    _check_floats("clip_grad_value", nodes)
    check_positive("clip_value", clip_value)
    made = []
    for gradient in nodes:
        with role("update", forward_of=gradient.forward_of):
            made.append(clip(gradient, -clip_value, clip_value))
    return made


def _check_floats(name: str, nodes: Sequence[Node]) -> None:
    if not nodes:
        raise GraphError(f"{name} needs at least one gradient")
    for node in nodes:
        if not isinstance(node, Node) or node.dtype not in FLOATS:
            raise GraphError(f"{name} takes float nodes; got {node!r}")
