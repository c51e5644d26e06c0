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


@overload
def jacobian(output: Node, wrt: Node, mode: Mode | None = ...) -> Node: ...


@overload
def jacobian(output: Node, wrt: Sequence[Node], mode: Mode | None = ...) -> list[Node]: ...


def jacobian(
    output: Node, wrt: Node | Sequence[Node], mode: Mode | None = None
) -> Node | list[Node]:
    """All partial derivatives of ``output`` with respect to ``wrt``.

    Reverse mode makes a row for each element of ``output``, forward mode a column for each element
    of ``wrt``; the cheaper one is taken. What they share is computed once.

    Parameters
    ----------
    output
        Shape (m...), float; no axis of unknown size.
    wrt
        Shape (n...), float; no axis of unknown size. Or several such nodes.
    mode
        ``"forward"`` or ``"reverse"``, where one is wanted.

    Returns
    -------
    Node or list of Node
        Shape (m..., n...): ``J[i..., j...] = d output[i...] / d wrt[j...]``; one for each of
        several.

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
    several = [wrt] if isinstance(wrt, Node) else list(wrt)
    check_floats("jacobian", (output, *several))
    m, n = _known_size(output), sum(_known_size(node) for node in several)
    if mode not in (None, "forward", "reverse"):
        raise GraphError(f"mode is 'forward', 'reverse' or None; got {mode!r}")
    if (mode or ("reverse" if m <= n else "forward")) == "reverse":
        found = _by_rows(output, several)
    else:
        found = [_by_columns([output], node)[0] for node in several]
    return found[0] if isinstance(wrt, Node) else found


def _by_rows(output: Node, wrt: Sequence[Node]) -> list[Node]:
    """Reverse mode: one pass for each element of the output gives a row of every Jacobian."""
    rows = [vjp(output, wrt, unit) for unit in _units(output)]
    return [
        _stacked([_or_zeros(row[i], node) for row in rows], 0, output, node)
        for i, node in enumerate(wrt)
    ]


def _by_columns(outputs: Sequence[Node], wrt: Node) -> list[Node]:
    """Forward mode: one pass for each element of ``wrt`` gives a column of every Jacobian."""
    columns = [jvp(outputs, wrt, unit) for unit in _units(wrt)]
    return [
        _stacked([flatten(column[i], 0) for column in columns], 1, output, wrt)
        for i, output in enumerate(outputs)
    ]


def _stacked(parts: Sequence[Node], axis: int, output: Node, wrt: Node) -> Node:
    shape = (*output.spec.shape, *wrt.spec.shape)
    if 0 in shape:
        return zeros(shape, output.dtype)
    return reshape(stack(parts, axis), shape)


@overload
def hessian(loss: Node, wrt: Node) -> Node: ...


@overload
def hessian(loss: Node, wrt: Sequence[Node]) -> list[list[Node]]: ...


def hessian(loss: Node, wrt: Node | Sequence[Node]) -> Node | list[list[Node]]:
    """All second derivatives of a scalar: forward over reverse, a column for each element.

    Parameters
    ----------
    loss
        A scalar, float.
    wrt
        Shape (n...), float; no axis of unknown size. Or several such nodes.

    Returns
    -------
    Node or list of list of Node
        Shape (n..., n...), symmetric where the second derivatives are continuous. Of several
        nodes the blocks: ``H[i][j]`` of shape (n_i..., n_j...), second derivatives by both.

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
    several = [wrt] if isinstance(wrt, Node) else list(wrt)
    slopes = grad(loss, several)
    for node in several:
        _known_size(node)
    columns = [_by_columns(slopes, node) for node in several]
    blocks = [list(row) for row in zip(*columns, strict=True)]
    return blocks[0][0] if isinstance(wrt, Node) else blocks


def _known_size(node: Node) -> int:
    size = node.spec.size
    if not isinstance(size, int):
        raise ShapeError(
            f"a Jacobian needs known sizes; {node.name} has shape {format_shape(node.spec.shape)}. "
            f"Declared at {node.origin}. Declare the input with a number in the place of None."
        )
    return size


def _units(node: Node) -> Iterator[Node]:
    """The unit vectors of a node's shape."""
    count = _known_size(node)
    for i in range(count):
        unit = np.zeros(count, node.dtype)
        unit[i] = 1
        yield reshape(Constant(unit), node.spec.shape)


def _or_zeros(found: Node | None, wrt: Node) -> Node:
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
