"""Images between their pixels: bilinear values at given places, with all derivatives.

Jaderberg, Simonyan, Zisserman, Kavukcuoglu, *Spatial transformer networks* (NIPS 2015), eq. 5-7.
The weights of the two pixels around a place are (1 - f, f) along an axis, and (-1, 1) in the
derivative along it: the op with these weights serves the gradients of places, and its transpose
those of images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.context import declared_at
from graphnn.errors import GraphError, ShapeError
from graphnn.node import Constant, Node, NodeLike, apply, as_node, as_nodes
from graphnn.op import Draw, Example, Mismatch, Op, Rows, register
from graphnn.ops.declare.tangents import added
from graphnn.ops.movement.broadcast import broadcast_to
from graphnn.ops.movement.joining import stack
from graphnn.ops.movement.reshape import expand_dims
from graphnn.ops.reduction.reduce import sum
from graphnn.source import Body
from graphnn.spec import FLOATS, DimLike, Shape, TensorSpec, format_shape

__all__ = ["affine_grid", "grid_sample"]

IMAGE = "#cffafe"


def _interpolated(start, stop, x, rows, columns, out, *, dr, dc):  # type: ignore[no-untyped-def]
    height, width = x.shape[1], x.shape[2]
    channels = x.shape[0] // max(rows.shape[0], 1)
    for n in range(start, stop):
        m = n // channels
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                r, c = rows[m, i, j], columns[m, i, j]
                total = 0.0
                if (r > -1) & (r < height) & (c > -1) & (c < width):  # nan is nowhere
                    above, left = math.floor(r), math.floor(c)
                    lower = r - above if dr == 0 else 1.0
                    upper = 1.0 - lower if dr == 0 else -1.0
                    right = c - left if dc == 0 else 1.0
                    before = 1.0 - right if dc == 0 else -1.0
                    u, v = int(above), int(left)
                    if u >= 0:
                        if v >= 0:
                            total += upper * before * x[n, u, v]
                        if v + 1 < width:
                            total += upper * right * x[n, u, v + 1]
                    if u + 1 < height:
                        if v >= 0:
                            total += lower * before * x[n, u + 1, v]
                        if v + 1 < width:
                            total += lower * right * x[n, u + 1, v + 1]
                out[n, i, j] = total


def _put_back(start, stop, dy, rows, columns, out, *, dr, dc):  # type: ignore[no-untyped-def]
    # A lane has whole planes, so that nobody else adds to their pixels.
    height, width = out.shape[1], out.shape[2]
    channels = out.shape[0] // max(rows.shape[0], 1)
    for n in range(start, stop):
        m = n // channels
        for u in range(height):
            for v in range(width):
                out[n, u, v] = 0
        for i in range(dy.shape[1]):
            for j in range(dy.shape[2]):
                r, c = rows[m, i, j], columns[m, i, j]
                if (r > -1) & (r < height) & (c > -1) & (c < width):
                    above, left = math.floor(r), math.floor(c)
                    lower = r - above if dr == 0 else 1.0
                    upper = 1.0 - lower if dr == 0 else -1.0
                    right = c - left if dc == 0 else 1.0
                    before = 1.0 - right if dc == 0 else -1.0
                    u, v = int(above), int(left)
                    if u >= 0:
                        if v >= 0:
                            out[n, u, v] += upper * before * dy[n, i, j]
                        if v + 1 < width:
                            out[n, u, v + 1] += upper * right * dy[n, i, j]
                    if u + 1 < height:
                        if v >= 0:
                            out[n, u + 1, v] += lower * before * dy[n, i, j]
                        if v + 1 < width:
                            out[n, u + 1, v + 1] += lower * right * dy[n, i, j]


# The references: the four pixels around all places at once. What is nowhere counts nothing.


def _corners(
    rows: NDArray[Any], columns: NDArray[Any], height: int, width: int, dr: int, dc: int
) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """Of each corner: whether it is a pixel, its weight, its row and its column."""
    inside = (rows > -1) & (rows < height) & (columns > -1) & (columns < width)
    r, c = np.where(inside, rows, 0), np.where(inside, columns, 0)
    for down in (0, 1):
        for across in (0, 1):
            u, v = np.floor(r).astype(int) + down, np.floor(c).astype(int) + across
            counts = inside & (u >= 0) & (u < height) & (v >= 0) & (v < width)
            weight = _weight(r - np.floor(r), down, dr) * _weight(c - np.floor(c), across, dc)
            yield counts, weight, np.where(counts, u, 0), np.where(counts, v, 0)


def _weight(f: NDArray[Any], far: int, slope: int) -> NDArray[Any]:
    """How much a corner counts along an axis, or the slope of that."""
    if slope:
        return np.full_like(f, 1 if far else -1)
    return f if far else 1 - f


def _interpolated_reference(
    x: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any], *, dr: int, dc: int
) -> NDArray[Any]:
    total = np.zeros((*x.shape[:2], *rows.shape[1:]), x.dtype)
    for counts, weight, u, v in _corners(rows, columns, x.shape[2], x.shape[3], dr, dc):
        n, i, j = np.nonzero(counts)
        total[n, :, i, j] += weight[n, i, j, None] * x[n, :, u[n, i, j], v[n, i, j]]
    return total


def _put_back_reference(
    dy: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any], *, dr: int, dc: int, size: Any
) -> NDArray[Any]:
    out = np.zeros((*dy.shape[:2], *size), dy.dtype)
    channels = np.arange(dy.shape[1])
    for counts, weight, u, v in _corners(rows, columns, size[0], size[1], dr, dc):
        n, i, j = np.nonzero(counts)
        places = (n[:, None], channels, u[n, i, j, None], v[n, i, j, None])
        np.add.at(out, places, weight[n, i, j, None] * dy[n, :, i, j])
    return out


# The ops.


def _check_places(x: TensorSpec, rows: TensorSpec, columns: TensorSpec) -> None:
    if x.dtype not in FLOATS or rows.dtype != x.dtype or columns.dtype != x.dtype:
        raise Mismatch("images and places of one dtype, float32 or float64", dtype=True)
    if x.ndim != 4 or rows.ndim != 3 or rows.shape[0] != x.shape[0] or columns != rows:
        raise Mismatch("images (batch, channels, height, width), places (batch, rows, columns)")


def _spec(x: TensorSpec, rows: TensorSpec, columns: TensorSpec, *, dr: int, dc: int) -> TensorSpec:
    _check_places(x, rows, columns)
    return x.with_shape((*x.shape[:2], *rows.shape[1:]))


def _back_spec(
    dy: TensorSpec, rows: TensorSpec, columns: TensorSpec, *, dr: int, dc: int, size: Shape
) -> TensorSpec:
    _check_places(dy, rows, columns)
    if dy.shape[2:] != rows.shape[1:]:
        raise Mismatch("a place for each pixel")
    return dy.with_shape((*dy.shape[:2], *size))


def _vjp(node: Node, dy: Node) -> list[Node | None]:
    x, rows, columns = node.inputs
    size = x.spec.shape[2:]
    back = apply(PUT_BACK, [dy, rows, columns], {**node.attrs, "size": size})
    return [back, *_of_places(x, dy, rows, columns, node.attrs)]


def _back_vjp(node: Node, v: Node) -> list[Node | None]:
    dy, rows, columns = node.inputs
    flags = {key: node.attrs[key] for key in ("dr", "dc")}
    taken = apply(INTERPOLATED, [v, rows, columns], flags)
    return [taken, *_of_places(v, dy, rows, columns, flags)]


def _of_places(x: Node, dy: Node, rows: Node, columns: Node, attrs: Any) -> list[Node | None]:
    """What rows and columns get: a slope does not change along its own axis."""
    found: list[Node | None] = []
    for flag in ("dr", "dc"):
        if attrs[flag]:
            found.append(None)
            continue
        slope = apply(INTERPOLATED, [x, rows, columns], {**attrs, flag: 1})
        found.append(sum(dy * slope, 1))
    return found


def _jvp(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    x, rows, columns = node.inputs
    dx, drows, dcolumns = tangents
    parts = [] if dx is None else [apply(node.op, [dx, rows, columns], node.attrs)]
    for flag, moved in (("dr", drows), ("dc", dcolumns)):
        if moved is None or node.attrs[flag]:
            continue
        whole = expand_dims(broadcast_to(moved, rows.spec.shape), 1)
        if node.op is INTERPOLATED:
            parts.append(whole * apply(node.op, [x, rows, columns], {**node.attrs, flag: 1}))
        else:
            parts.append(apply(node.op, [x * whole, rows, columns], {**node.attrs, flag: 1}))
    return added(parts)


def _flops(out: TensorSpec, dy: TensorSpec, *_rest: TensorSpec, **attrs: Any) -> DimLike:
    return 14 * (dy.size if "size" in attrs else out.size)


def _examples(back: bool) -> tuple[Example, ...]:
    found = []
    for size, places, dr, dc in (
        ((4, 5), (3, 6), 0, 0),
        ((5, 3), (4, 4), 1, 0),
        ((3, 4), (5, 2), 0, 1),
        ((4, 4), (3, 3), 1, 1),
        ((1, 2), (2, 3), 0, 0),
    ):
        drawn = [
            Draw((2, *places), -1.9, n + 0.9, kinks=(*range(-1, n + 1),)) for n in size
        ]  # also outside of the image
        image = Draw((2, 3, *(places if back else size)))
        attrs = {"dr": dr, "dc": dc} | ({"size": size} if back else {})
        found.append(Example((image, *drawn), attrs))
    return tuple(found)


INTERPOLATED = register(
    Op(
        name="bilinear",
        spec=_spec,
        kernel=Rows(Body(_interpolated), ("planes", "all", "all", "planes")),
        reference=_interpolated_reference,
        vjp=_vjp,
        jvp=_jvp,
        flops=_flops,
        vanishes=(0,),
        examples=_examples(back=False),
        formula="Σ x[u, v] (1 - |r - u|)₊ (1 - |c - v|)₊",
        color=IMAGE,
    )
)
PUT_BACK = register(
    Op(
        name="bilinear_transposed",
        spec=_back_spec,
        kernel=Rows(Body(_put_back), ("planes", "all", "all", "planes")),
        reference=_put_back_reference,
        vjp=_back_vjp,
        jvp=_jvp,
        flops=_flops,
        vanishes=(0,),
        examples=_examples(back=True),
        formula="y[u, v] += dy (1 - |r - u|)₊ (1 - |c - v|)₊",
        color=IMAGE,
    )
)


def values_at(x: Node, rows: Node, columns: Node, name: str | None = None) -> Node:
    """The values of images at places counted in pixels; 0 outside, in all of their channels."""
    return apply(INTERPOLATED, [x, rows, columns], {"dr": 0, "dc": 0}, name=name)


def grid_sample(
    x: NodeLike, grid: NodeLike, align_corners: bool = False, name: str | None = None
) -> Node:
    """The values of images at the places of a grid, bilinear; 0 outside of an image.

    torch's ``grid_sample(mode="bilinear", padding_mode="zeros")``. Differentiable in both, so that
    a network can learn where to look (Jaderberg et al., *Spatial transformer networks*, 2015).

    Parameters
    ----------
    x
        (batch, channels, height, width), float.
    grid
        (batch, rows, columns, 2), of the dtype of ``x``: horizontal, then vertical places, -1 at
        the left and upper edge, 1 at the right and lower one.
    align_corners
        Whether -1 and 1 are the centres of the outermost pixels, not their outer edges.

    Returns
    -------
    Node
        (batch, channels, rows, columns).

    Raises
    ------
    ShapeError, DTypeError
        For other shapes, or two dtypes.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Constant([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> middle = np.zeros((1, 1, 1, 2), np.float32)
    >>> gn.function([], gn.grid_sample(x, middle))()
    array([[[[2.5]]]], dtype=float32)
    """
    image, places = as_nodes(x, grid)
    if image.ndim != 4 or places.ndim != 4 or places.spec.shape[-1] != 2:
        raise ShapeError(
            "grid_sample needs images (batch, channels, height, width) and a grid (batch, rows, "
            f"columns, 2); got {format_shape(image.spec.shape)} and "
            f"{format_shape(places.spec.shape)}. Declared at {declared_at()}."
        )
    height, width = known_size("grid_sample", image)
    across, down = (
        (places[..., i] + 1.0) * ((size - 1) / 2)
        if align_corners
        else (places[..., i] + 1.0) * (size / 2) - 0.5
        for i, size in enumerate((width, height))
    )
    return values_at(image, down, across, name)


def affine_grid(theta: NodeLike, size: Sequence[int | None], align_corners: bool = False) -> Node:
    """The grid of an affine map, for :func:`grid_sample`: (x, y) = theta (column, row, 1).

    Parameters
    ----------
    theta
        (batch, 2, 3), float.
    size
        Of the result: (batch, channels, height, width), of which the last two count.
    align_corners
        As in :func:`grid_sample`.

    Returns
    -------
    Node
        (batch, height, width, 2).

    Raises
    ------
    ShapeError, GraphError
        For other shapes, and a size without a height and a width.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.affine_grid(gn.Input((None, 2, 3)), (None, 1, 28, 28)).shape
    (None, 28, 28, 2)
    """
    map_ = as_node(theta)
    if map_.ndim != 3 or map_.spec.shape[1:] != (2, 3):
        raise ShapeError(
            f"affine_grid needs theta (batch, 2, 3); got {format_shape(map_.spec.shape)}. "
            f"Declared at {declared_at()}."
        )
    if len(size) != 4 or not all(isinstance(n, int) and n > 0 for n in size[2:]):
        raise GraphError(
            f"affine_grid: size is (batch, channels, height, width); got {tuple(size)}. "
            f"Declared at {declared_at()}."
        )
    across, down = (
        np.linspace(-1, 1, n) * (1 if align_corners else (n - 1) / n) if n > 1 else np.zeros(1)
        for n in (size[3], size[2])
        if n is not None
    )
    j, i = Constant(across, dtype=map_.dtype), Constant(down[:, None], dtype=map_.dtype)
    a = [[map_[:, k, m][:, None, None] for m in range(3)] for k in range(2)]
    return stack([a[k][0] * j + a[k][1] * i + a[k][2] for k in range(2)], -1)


def known_size(what: str, x: Node) -> tuple[int, int]:
    """Height and width of images.

    Raises
    ------
    ShapeError, DTypeError
        For anything else than images (batch, channels, height, width) of a known size.
    """
    height, width = x.spec.shape[2:] if x.ndim == 4 else (None, None)
    if isinstance(height, int) and isinstance(width, int):
        return height, width
    raise ShapeError(
        f"{what} needs images (batch, channels, height, width) of a known size; got "
        f"{format_shape(x.spec.shape)} for {x.name!r}. Declared at {declared_at()}. A flat batch? "
        "gn.reshape(x, (-1, 1, 28, 28)) first."
    )
