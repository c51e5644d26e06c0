"""Reductions over axes: sum, mean, prod, max, min."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.hints import teaches
from graphnn.node import Node, NodeLike, apply, as_node, size_of
from graphnn.op import Draw, Example, Jvp, Mismatch, Op, Reduction, Vjp, register
from graphnn.ops.declare.axes import as_axes
from graphnn.ops.declare.tangents import linear
from graphnn.ops.elementwise.cast import cast
from graphnn.ops.elementwise.choice import equal
from graphnn.ops.movement.broadcast import broadcast_to
from graphnn.ops.movement.reshape import reshape
from graphnn.ops.movement.transpose import transpose
from graphnn.ops.reduction.cumulative import product_of_others
from graphnn.spec import FLOATS, DimLike, Shape, TensorSpec, product

__all__ = ["max", "mean", "min", "prod", "sum"]

REDUCTION = "#ffe4e6"


def _spec(x: TensorSpec, *, axes: tuple[int, ...], keepdims: bool = False) -> TensorSpec:
    wrong = [axis for axis in axes if not 0 <= axis < x.ndim]
    if wrong or len(set(axes)) != len(axes):
        raise Mismatch(
            f"different axes among 0..{x.ndim - 1}; they are {axes}",
            f"axis=-1 is the last one, {x.ndim - 1}." if x.ndim else "A scalar has no axis.",
        )
    if x.dtype in ("bool", "uint8"):
        raise Mismatch("numbers", "Cast it: gn.cast(x, 'float32').", dtype=True)
    if keepdims:
        return x.with_shape([1 if i in axes else dim for i, dim in enumerate(x.shape)])
    return x.with_shape([dim for i, dim in enumerate(x.shape) if i not in axes])


def _mean_spec(x: TensorSpec, *, axes: tuple[int, ...], keepdims: bool = False) -> TensorSpec:
    if x.dtype not in FLOATS:
        raise Mismatch("float32 or float64", "Cast it: gn.cast(x, 'float32').", dtype=True)
    return _spec(x, axes=axes, keepdims=keepdims)


def _kept(node: Node) -> Shape:
    """The input's shape with 1 in place of the reduced axes."""
    axes = node.attrs["axes"]
    return tuple(1 if i in axes else dim for i, dim in enumerate(node.inputs[0].spec.shape))


def _sum_vjp(node: Node, dy: Node) -> list[Node | None]:
    return [broadcast_to(reshape(dy, _kept(node)), node.inputs[0].spec.shape)]


def _mean_vjp(node: Node, dy: Node) -> list[Node | None]:
    (x,) = node.inputs
    count = size_of(product(x.spec.shape[axis] for axis in node.attrs["axes"]), x.dtype)
    return [broadcast_to(reshape(dy / count, _kept(node)), x.spec.shape)]


def _max_vjp(node: Node, dy: Node) -> list[Node | None]:
    # Ties share the gradient, as torch.amax does.
    hit, ties = _hits(node)
    return [hit * (reshape(dy, _kept(node)) / ties)]


def _max_jvp(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    (dx,) = tangents
    if dx is None:
        return None
    hit, ties = _hits(node)
    return reshape(sum(hit * dx, node.attrs["axes"], keepdims=True) / ties, node.spec.shape)


def _hits(node: Node) -> tuple[Node, Node]:
    """1 where an element is the largest (or smallest), and how many such there are."""
    (x,) = node.inputs
    hit = cast(equal(x, reshape(node, _kept(node))), x.dtype)
    return hit, sum(hit, node.attrs["axes"], keepdims=True)


def _prod_vjp(node: Node, dy: Node) -> list[Node | None]:
    (x,) = node.inputs
    return [_others(node) * broadcast_to(reshape(dy, _kept(node)), x.spec.shape)]


def _prod_jvp(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    (dx,) = tangents
    axes, keepdims = node.attrs["axes"], node.attrs["keepdims"]
    return None if dx is None else sum(_others(node) * dx, axes, keepdims)


def _others(node: Node) -> Node:
    """The product of all but each element: also where some are 0."""
    (x,) = node.inputs
    axes = node.attrs["axes"]
    if any(x.spec.shape[axis] == 0 for axis in axes):
        return x
    order = [axis for axis in range(x.ndim) if axis not in axes] + list(axes)
    turned = transpose(x, order)
    left = turned.spec.shape[: x.ndim - len(axes)]
    rows = reshape(turned, (*left, product(x.spec.shape[axis] for axis in axes)))
    others = reshape(product_of_others(rows), turned.spec.shape)
    return transpose(others, [order.index(axis) for axis in range(x.ndim)])


def _flops(_out: TensorSpec, x: TensorSpec, **_attrs: Any) -> DimLike:
    return x.size


def _reference(function: Callable[..., Any]) -> Callable[..., NDArray[Any]]:
    def reference(
        x: NDArray[Any], *, axes: tuple[int, ...], keepdims: bool = False
    ) -> NDArray[Any]:
        return np.asarray(function(x, axis=axes, keepdims=keepdims), dtype=x.dtype)

    return reference


def _largest(x: NDArray[Any], axis: tuple[int, ...], keepdims: bool) -> NDArray[Any]:
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    return np.asarray(np.max(x, axis=axis, keepdims=keepdims, initial=lowest))


def _smallest(x: NDArray[Any], axis: tuple[int, ...], keepdims: bool) -> NDArray[Any]:
    highest = np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).max
    return np.asarray(np.min(x, axis=axis, keepdims=keepdims, initial=highest))


def _reduction(
    kind: str,
    function: Callable[..., Any],
    vjp: Vjp,
    jvp: Jvp,
    formula: str,
    domain: tuple[float, float] = (-2.0, 2.0),
) -> Op:
    return register(
        Op(
            name=kind,
            spec=_mean_spec if kind == "mean" else _spec,
            kernel=Reduction(kind),
            reference=_reference(function),
            vjp=vjp,
            jvp=jvp,
            flops=_flops,
            examples=tuple(
                Example((Draw(shape, *domain),), {"axes": axes, "keepdims": keepdims})
                for shape, axes, keepdims in (
                    ((3, 4), (0,), False),
                    ((3, 4), (1,), False),
                    ((3, 4), (0, 1), False),
                    ((5, 300), (1,), True),
                    ((300, 37), (0,), False),
                    ((2, 3, 4), (1,), False),
                    ((2, 3, 4), (0, 2), True),
                    ((2, 3, 4, 5), (1, 3), False),
                    ((5000,), (0,), False),
                )
            ),
            slack=10.0 if kind == "prod" else 1.0,
            formula=formula,
            color=REDUCTION,
        )
    )


SUM = _reduction("sum", np.sum, _sum_vjp, linear, "Σ x")
MEAN = _reduction("mean", np.mean, _mean_vjp, linear, "Σ x / n")
MAX = _reduction("max", _largest, _max_vjp, _max_jvp, "max x")
MIN = _reduction("min", _smallest, _max_vjp, _max_jvp, "min x")
PROD = _reduction("prod", np.prod, _prod_vjp, _prod_jvp, "Π x", (0.995, 1.004))


def _reduce(
    op: Op, x: NodeLike, axis: int | Sequence[int] | None, keepdims: bool, name: str | None
) -> Node:
    node = as_node(x)
    axes = tuple(sorted(as_axes(node, axis, op.name)))
    if not axes and node.ndim == 0:
        return node
    return apply(op, [node], {"axes": axes, "keepdims": keepdims}, name=name)


@teaches
def sum(
    x: NodeLike,
    axis: int | Sequence[int] | None = None,
    keepdims: bool = False,
    name: str | None = None,
) -> Node:
    """Sum over ``axis``, or over all axes.

    Parameters
    ----------
    x
        Any shape; floats, int64 or int32.
    axis
        An axis or several, negative ones counted from the end; None: all.
    keepdims
        Whether reduced axes stay, with size 1.
    name
        Of the node.

    Raises
    ------
    ShapeError, DTypeError
        If there is no such axis, or one is named twice; for bool and uint8.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.sum(gn.Constant([[1.0, 2.0], [3.0, 4.0]]), axis=0))()
    array([4., 6.], dtype=float32)
    """
    return _reduce(SUM, x, axis, keepdims, name)


@teaches
def mean(
    x: NodeLike,
    axis: int | Sequence[int] | None = None,
    keepdims: bool = False,
    name: str | None = None,
) -> Node:
    """Mean over ``axis``, or over all axes.

    Parameters
    ----------
    x
        Any shape; floats.
    axis
        An axis or several, negative ones counted from the end; None: all.
    keepdims
        Whether reduced axes stay, with size 1.
    name
        Of the node.

    Raises
    ------
    ShapeError, DTypeError
        If there is no such axis, or one is named twice; for anything but floats.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.mean(gn.Constant([[1.0, 2.0], [3.0, 4.0]]), axis=0))()
    array([2., 3.], dtype=float32)
    """
    return _reduce(MEAN, x, axis, keepdims, name)


@teaches
def max(
    x: NodeLike,
    axis: int | Sequence[int] | None = None,
    keepdims: bool = False,
    name: str | None = None,
) -> Node:
    """Maximum over ``axis``, or over all axes; in the gradient, ties share equally.

    The maximum of nothing is -inf, of whole numbers the smallest that there is. Arguments and
    errors as of :func:`sum`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.max(gn.Constant([[1.0, 2.0], [3.0, 0.0]]), axis=0))()
    array([3., 2.], dtype=float32)
    """
    return _reduce(MAX, x, axis, keepdims, name)


@teaches
def min(
    x: NodeLike,
    axis: int | Sequence[int] | None = None,
    keepdims: bool = False,
    name: str | None = None,
) -> Node:
    """Minimum over ``axis``, or over all axes; otherwise as :func:`max`: of nothing inf.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.min(gn.Constant([[1.0, 2.0], [3.0, 0.0]]), axis=0))()
    array([1., 0.], dtype=float32)
    """
    return _reduce(MIN, x, axis, keepdims, name)


@teaches
def prod(
    x: NodeLike,
    axis: int | Sequence[int] | None = None,
    keepdims: bool = False,
    name: str | None = None,
) -> Node:
    """Product over ``axis``, or over all axes; its gradient is right also where factors are 0.

    Arguments and errors as of :func:`sum`.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((3,), name="x")
    >>> f = gn.function(x, [gn.prod(x), gn.grad(gn.prod(x), x)])
    >>> f(np.float32([2, 0, 3]))
    [array(0., dtype=float32), array([0., 6., 0.], dtype=float32)]
    """
    return _reduce(PROD, x, axis, keepdims, name)


def sum_to(x: Node, spec: TensorSpec) -> Node:
    """Sum ``x`` over the axes along which ``spec`` was broadcast: the reverse of broadcasting."""
    if x.spec.shape == spec.shape:
        return x
    new = x.ndim - spec.ndim
    axes = [*range(new)]
    axes += [i + new for i, dim in enumerate(spec.shape) if dim == 1 and x.spec.shape[i + new] != 1]
    total = sum(x, axes) if axes else x
    return reshape(total, spec.shape)
