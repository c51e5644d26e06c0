"""Derivatives that are matrices: Jacobian, Hessian, and the Hessian times a vector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias, overload

import numpy as np

from graphnn.autodiff import check_floats, grad, jvp, vjp, zeros
from graphnn.errors import GraphError, ShapeError
from graphnn.node import Constant, Node, NodeLike
from graphnn.ops.movement.joining import stack
from graphnn.ops.movement.reshape import flatten, reshape
from graphnn.spec import format_shape

Mode: TypeAlias = Literal["forward", "reverse"]


def jacobian(output: Node, wrt: Node, mode: Mode | None = None) -> Node:
    """All partial derivatives of ``output`` with respect to ``wrt``.

    Reverse mode makes a row for each element of ``output``, forward mode a column for each element
    of ``wrt``; the cheaper one is taken. What they share is computed once.

    Parameters
    ----------
    output
        Shape (m...), float; no axis of unknown size.
    wrt
        Shape (n...), float; no axis of unknown size.
    mode
        ``"forward"`` or ``"reverse"``, where one is wanted.

    Returns
    -------
    Node
        Shape (m..., n...): ``J[i..., j...] = d output[i...] / d wrt[j...]``.

    Raises
    ------
    ShapeError, DTypeError
        If a size is unknown: declare the input with a number in the place of None; if a node is
        no float.
    GraphError
        For another mode, and as :func:`vjp` and :func:`jvp`.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((2,), name="x")
    >>> f = gn.function(x, gn.jacobian(x * x, x))
    >>> f(np.float32([1, 2]))
    array([[2., 0.],
           [0., 4.]], dtype=float32)
    """
    check_floats("jacobian", (output, wrt))
    m, n = _known_size(output), _known_size(wrt)
    if mode not in (None, "forward", "reverse"):
        raise GraphError(f"mode is 'forward', 'reverse' or None; got {mode!r}")
    shape = (*output.spec.shape, *wrt.spec.shape)
    if m == 0 or n == 0:
        return zeros(shape, output.dtype)
    if (mode or ("reverse" if m <= n else "forward")) == "reverse":
        parts = [_row(output, wrt, unit) for unit in _units(output, m)]
        return reshape(stack(parts), shape)
    parts = [jvp(output, wrt, unit) for unit in _units(wrt, n)]
    return reshape(stack([flatten(part, 0) for part in parts], axis=1), shape)


def hessian(loss: Node, wrt: Node) -> Node:
    """All second derivatives of a scalar: forward over reverse, a column for each element.

    Parameters
    ----------
    loss
        A scalar, float.
    wrt
        Shape (n...), float; no axis of unknown size.

    Returns
    -------
    Node
        Shape (n..., n...), symmetric where the second derivatives are continuous.

    Raises
    ------
    ShapeError, DTypeError, GraphError
        If the loss is no scalar, or a size is unknown; else as :func:`grad` and :func:`jvp`.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((2,), name="x")
    >>> f = gn.function(x, gn.hessian(x[0] * x[0] * x[1], x))
    >>> f(np.float32([1, 3]))
    array([[6., 2.],
           [2., 0.]], dtype=float32)
    """
    return jacobian(grad(loss, wrt), wrt, mode="forward")


def _known_size(node: Node) -> int:
    size = node.spec.size
    if not isinstance(size, int):
        raise ShapeError(
            f"a Jacobian needs known sizes; {node.name} has shape {format_shape(node.spec.shape)}. "
            f"Declared at {node.origin}. Declare the input with a number in the place of None."
        )
    return size


def _units(node: Node, count: int) -> Iterator[Node]:
    """The unit vectors of a node's shape."""
    for i in range(count):
        unit = np.zeros(count, node.dtype)
        unit[i] = 1
        yield reshape(Constant(unit), node.spec.shape)


def _row(output: Node, wrt: Node, unit: Node) -> Node:
    found = vjp(output, wrt, unit)
    return zeros(wrt.spec.shape, wrt.dtype) if found is None else found


@overload
def hvp(loss: Node, wrt: Node, vector: NodeLike) -> Node: ...


@overload
def hvp(loss: Node, wrt: Sequence[Node], vector: Sequence[NodeLike]) -> list[Node]: ...


def hvp(
    loss: Node, wrt: Node | Sequence[Node], vector: NodeLike | Sequence[NodeLike]
) -> Node | list[Node]:
    """The Hessian of ``loss`` times a vector, without the Hessian: forward over reverse.

    It costs a small multiple of the gradient (Pearlmutter, *Fast exact multiplication by the
    Hessian*, 1994).

    Parameters
    ----------
    loss
        A scalar, float.
    wrt
        A node, or several.
    vector
        Of the shape and dtype of ``wrt``; one for each of several.

    Returns
    -------
    Node or list of Node
        Of the shape of ``wrt``.

    Raises
    ------
    ShapeError, DTypeError, GraphError
        As :func:`grad` and :func:`jvp` do.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((2,), name="x")
    >>> f = gn.function(x, gn.hvp(x[0] * x[0] * x[1], x, np.float32([1, 0])))
    >>> f(np.float32([1, 3]))  # the first column of the Hessian
    array([6., 2.], dtype=float32)
    """
    if isinstance(wrt, Node):
        return jvp(grad(loss, wrt), [wrt], [vector])
    return jvp(grad(loss, wrt), wrt, list(vector))  # type: ignore[arg-type]
