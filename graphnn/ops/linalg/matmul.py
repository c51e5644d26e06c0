"""Linear algebra: the matrix product, with every transpose and with batches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.node import Node, NodeLike, apply, as_nodes
from graphnn.op import Draw, Example, Gemm, Mismatch, Op, register
from graphnn.operators import operators
from graphnn.ops.declare.tangents import bilinear
from graphnn.ops.movement.broadcast import broadcast_to
from graphnn.ops.movement.reshape import reshape
from graphnn.spec import (
    FLOATS,
    DimLike,
    Shape,
    TensorSpec,
    broadcast_shapes,
    format_shape,
    product,
)

__all__ = ["matmul"]


def _turned(x: TensorSpec, turn: bool) -> tuple[DimLike, DimLike]:
    rows, columns = x.shape[-2:]
    return (columns, rows) if turn else (rows, columns)


def _spec(
    a: TensorSpec, b: TensorSpec, *, transpose_a: bool = False, transpose_b: bool = False
) -> TensorSpec:
    if a.dtype != b.dtype or a.dtype not in FLOATS:
        raise Mismatch(
            "two factors of one dtype, float32 or float64",
            "Cast one: gn.cast(x, 'float32').",
            dtype=True,
        )
    if a.ndim < 2 or b.ndim < 2:
        raise Mismatch("factors of at least two axes", "Use gn.matmul for vectors.")
    rows, inner = _turned(a, transpose_a)
    other, columns = _turned(b, transpose_b)
    if inner != other:
        left = "a.shape[-2]" if transpose_a else "a.shape[-1]"
        right = "b.shape[-1]" if transpose_b else "b.shape[-2]"
        raise Mismatch(f"{left} == {right}", _fitting_factor(b, inner, transpose_b))
    if a.ndim > 2 and b.ndim > 2 and a.shape[:-2] != b.shape[:-2]:
        raise Mismatch("the same leading axes, or a plain matrix", "Use gn.matmul.")
    batch = a.shape[:-2] if a.ndim > 2 else b.shape[:-2]
    return TensorSpec((*batch, rows, columns), a.dtype)


def _fitting_factor(b: TensorSpec, inner: DimLike, turned: bool) -> str:
    if b.shape[-2 if turned else -1] == inner:
        return "Transpose b: b.mT." if not turned else "Take b as it is, not transposed."
    fitting = [*b.shape]
    fitting[-1 if turned else -2] = inner
    return f"A factor b of shape {format_shape(fitting)} would fit."


def _reference(
    a: NDArray[Any], b: NDArray[Any], *, transpose_a: bool = False, transpose_b: bool = False
) -> NDArray[Any]:
    left = np.swapaxes(a, -1, -2) if transpose_a else a
    right = np.swapaxes(b, -1, -2) if transpose_b else b
    return np.asarray(np.matmul(left, right))


def _flops(
    out: TensorSpec, a: TensorSpec, _b: TensorSpec, *, transpose_a: bool = False, **_attrs: Any
) -> DimLike:
    return 2 * out.size * _turned(a, transpose_a)[1]


def _vjp(node: Node, dy: Node) -> list[Node | None]:
    a, b = node.inputs
    ta, tb = node.attrs.get("transpose_a", False), node.attrs.get("transpose_b", False)
    da = product_of(b, dy, tb, True) if ta else product_of(dy, b, False, not tb)
    if b.ndim == 2 and a.ndim > 2 and not ta:  # rows of one product with one matrix
        a, dy = _as_matrix(a), _as_matrix(dy)
    db = product_of(dy, a, True, ta) if tb else product_of(a, dy, not ta, False)
    return [da, db]


def _as_matrix(x: Node) -> Node:
    return reshape(x, (product(x.spec.shape[:-1]), x.spec.shape[-1]))


def _example(a: tuple[int, ...], b: tuple[int, ...], ta: bool = False, tb: bool = False) -> Example:
    return Example((Draw(a), Draw(b)), {"transpose_a": ta, "transpose_b": tb})


MATMUL = register(
    Op(
        name="matmul",
        spec=_spec,
        kernel=Gemm(),
        reference=_reference,
        vjp=_vjp,
        jvp=bilinear,
        flops=_flops,
        examples=(
            _example((3, 4), (4, 5)),
            _example((4, 3), (4, 5), ta=True),
            _example((3, 4), (5, 4), tb=True),
            _example((4, 3), (5, 4), ta=True, tb=True),
            _example((2, 3, 4), (4, 5)),
            _example((2, 3, 4), (5, 4), tb=True),
            _example((2, 3, 4), (2, 4, 5)),
            _example((2, 4, 3), (2, 4, 5), ta=True),
            _example((2, 3, 4), (2, 5, 4), tb=True),
            _example((3, 4), (2, 4, 5)),
            _example((4, 3), (2, 4, 5), ta=True),
            _example((3, 4), (2, 5, 4), tb=True),
            _example((2, 4, 3), (4, 5), ta=True),
            _example((2, 4, 3), (5, 4), ta=True, tb=True),
            _example((1, 7), (7, 1)),
            _example((65, 33), (33, 70)),
        ),
        slack=10.0,
        formula="A B",
        color="#bfdbfe",
    )
)


def product_of(a: Node, b: Node, transpose_a: bool, transpose_b: bool) -> Node:
    """``op(a) @ op(b)``, where op transposes the last two axes on request."""
    return apply(MATMUL, [a, b], {"transpose_a": transpose_a, "transpose_b": transpose_b})


def matmul(a: NodeLike, b: NodeLike, name: str | None = None) -> Node:
    """Matrix product with NumPy's rules: vectors, matrices, and batches that broadcast.

    Parameters
    ----------
    a, b
        Shapes (..., m, k) and (..., k, n), or vectors (k,); one dtype, float32 or float64.

    Returns
    -------
    Node
        Shape (..., m, n), without the axis of a vector.

    Raises
    ------
    ShapeError, DTypeError
        If the inner sizes, the batches or the dtypes do not fit.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.matmul(gn.Input((None, 2, 3)), gn.Input((3, 4))).shape
    (None, 2, 4)
    >>> x = gn.Input((2,), name="x")
    >>> gn.function(x, [[1.0, 2.0], [3.0, 4.0]] @ x)([1, 10])
    array([21., 43.], dtype=float32)
    """
    left, right = as_nodes(a, b)
    if left.ndim == 0 or right.ndim == 0:
        return apply(MATMUL, [left, right])  # raises, and says why
    rows = reshape(left, (1, *left.spec.shape)) if left.ndim == 1 else left
    columns = reshape(right, (*right.spec.shape, 1)) if right.ndim == 1 else right
    batch = broadcast_shapes(rows.spec.shape[:-2], columns.spec.shape[:-2])
    if batch is None:
        return apply(MATMUL, [rows, columns])  # raises, and says why
    ends = (rows.spec.shape[-2], columns.spec.shape[-1])
    out = apply(MATMUL, _with_one_batch(rows, columns, batch), name=name)
    shape = [*batch, *ends]
    if right.ndim == 1:
        del shape[-1]
    if left.ndim == 1:
        del shape[-1 if right.ndim == 1 else -2]
    return reshape(out, tuple(shape))


operators["matmul"] = matmul


def _with_one_batch(a: Node, b: Node, batch: Shape) -> tuple[Node, Node]:
    """Both factors with the batch of their product, or without any where it is a plain matrix.

    Where b is the same along the last axes of the batch, these are more rows of a.
    """
    left, right = ((1,) * (len(batch) - x.ndim + 2) + x.spec.shape[:-2] for x in (a, b))
    shared = next(i for i in range(len(batch) + 1) if set(right[i:]) <= {1})
    if shared == 0:
        return reshape(a, (*left, *a.spec.shape[-2:])), reshape(b, b.spec.shape[-2:])
    if left[:shared] == right[:shared]:
        rows = product([*left[shared:], a.spec.shape[-2]])
        return (
            reshape(a, (*left[:shared], rows, a.spec.shape[-1])),
            reshape(b, (*right[:shared], *b.spec.shape[-2:])),
        )
    if set(left) <= {1}:
        return reshape(a, a.spec.shape[-2:]), broadcast_to(b, (*batch, *b.spec.shape[-2:]))
    return (
        broadcast_to(a, (*batch, *a.spec.shape[-2:])),
        broadcast_to(b, (*batch, *b.spec.shape[-2:])),
    )
