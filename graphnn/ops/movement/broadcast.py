"""Values repeated along axes, as NumPy broadcasts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphnn.hints import teaches
from graphnn.node import Node, NodeLike, apply, as_node
from graphnn.op import Draw, Example, Mismatch, Op, Scalar, register
from graphnn.ops.declare.tangents import linear
from graphnn.ops.movement.reshape import MOVEMENT
from graphnn.source import Body
from graphnn.spec import (
    BATCH,
    DimLike,
    Shape,
    TensorSpec,
    broadcast_shapes,
)

__all__ = ["broadcast_to", "expand"]


def _broadcast_spec(x: TensorSpec, *, shape: Shape) -> TensorSpec:
    if broadcast_shapes(x.shape, shape) != shape:
        raise Mismatch(f"a shape that broadcasts to {shape}")
    return x.with_shape(shape)


def _same(x):  # type: ignore[no-untyped-def]
    return x


def _broadcast_vjp(_node: Node, dy: Node) -> list[Node | None]:
    return [dy]  # autodiff sums every cotangent to the shape of its input


BROADCAST = register(
    Op(
        name="broadcast_to",
        spec=_broadcast_spec,
        kernel=Scalar(Body(_same)),
        reference=lambda x, *, shape: np.broadcast_to(x, shape).copy(),
        vjp=_broadcast_vjp,
        jvp=linear,
        examples=(
            Example((Draw((3,)),), {"shape": (4, 3)}),
            Example((Draw((2, 1, 3)),), {"shape": (2, 4, 3)}),
            Example((Draw(()),), {"shape": (2, 3)}),
        ),
        formula="repeat along new axes",
        color=MOVEMENT,
    )
)


@teaches
def broadcast_to(x: NodeLike, shape: Sequence[DimLike | None]) -> Node:
    """Repeat ``x`` along axes of size 1 and new leading axes, as NumPy broadcasts.

    Raises
    ------
    ShapeError
        If ``x`` does not broadcast to that shape.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.broadcast_to(gn.Input((3,)), (None, 3)).shape
    (None, 3)
    """
    node = as_node(x)
    target = tuple(BATCH if dim is None else dim for dim in shape)
    return node if target == node.spec.shape else apply(BROADCAST, [node], {"shape": target})


@teaches
def expand(x: NodeLike, shape: Sequence[DimLike | None]) -> Node:
    """:func:`broadcast_to` as torch has it: -1 keeps the size of an axis.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.expand(gn.Input((None, 1)), (-1, 4)).shape
    (None, 4)
    """
    node = as_node(x)
    new = len(shape) - node.ndim
    kept = (*[-1] * new, *node.spec.shape) if new >= 0 else node.spec.shape
    return broadcast_to(node, [k if s == -1 else s for s, k in zip(shape, kept, strict=True)])
