"""The change of dtype: the one place where it changes, and only on request."""

from __future__ import annotations

from collections.abc import Sequence

from graphnn.node import Node, NodeLike, apply, as_nodes
from graphnn.op import Draw, Example, Op, Scalar, register
from graphnn.ops.elementwise.arithmetic import ARITHMETIC
from graphnn.source import Body
from graphnn.spec import FLOATS, TensorSpec, as_dtype

__all__ = ["cast"]


def _same(x):  # type: ignore[no-untyped-def]
    return x


def _cast_spec(x: TensorSpec, *, dtype: str) -> TensorSpec:
    return x.with_dtype(dtype)


def _cast_vjp(node: Node, dy: Node) -> list[Node | None]:
    (x,) = node.inputs
    return [cast(dy, x.dtype) if x.dtype in FLOATS and node.dtype in FLOATS else None]


def _cast_jvp(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    (dx,) = tangents
    return None if dx is None or node.dtype not in FLOATS else cast(dx, node.dtype)


CAST = register(
    Op(
        name="cast",
        spec=_cast_spec,
        kernel=Scalar(Body(_same)),
        reference=lambda x, *, dtype: x.astype(dtype),
        vjp=_cast_vjp,
        jvp=_cast_jvp,
        vanishes=(0,),
        examples=tuple(
            Example((Draw((3, 5)),), {"dtype": d}) for d in ("float32", "float64", "int64", "bool")
        ),
        formula="(dtype) x",
        color=ARITHMETIC,
    )
)


def cast(x: NodeLike, dtype: object) -> Node:
    """``x`` with another dtype; the only way in which a dtype changes.

    A gradient comes back in the dtype of ``x``; between floats and whole numbers none flows.

    Raises
    ------
    DTypeError
        For a dtype that graphnn does not know.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.cast(gn.Input((None, 3), dtype="uint8"), "float32").dtype
    'float32'
    """
    (node,) = as_nodes(x)
    name = as_dtype(dtype)
    return node if node.dtype == name else apply(CAST, [node], {"dtype": name})
