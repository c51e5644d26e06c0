"""Windows of images, each sample's at a place of its own: shifts and crops by whole pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.node import Node, apply
from graphnn.op import Draw, Example, Mismatch, Op, Rows, register
from graphnn.ops.declare.tangents import linear
from graphnn.ops.image.interpolation import IMAGE
from graphnn.source import Body
from graphnn.spec import Shape, TensorSpec

__all__: list[str] = []


def _window(start, stop, x, corner, out):  # type: ignore[no-untyped-def]
    height, width = x.shape[1], x.shape[2]
    tall, wide = out.shape[1], out.shape[2]
    channels = out.shape[0] // max(corner.shape[0], 1)
    for n in range(start, stop):
        top, left = corner[n // channels, 0], corner[n // channels, 1]
        first = min(max(0, -left), wide)  # of the columns that lie in the image
        last = max(min(wide, width - left), first)
        for i in range(tall):
            u = i + top
            if 0 <= u < height:
                for j in range(first):
                    out[n, i, j] = 0
                for j in range(last - first):
                    out[n, i, first + j] = x[n, u, first + left + j]
                for j in range(last, wide):
                    out[n, i, j] = 0
            else:
                for j in range(wide):
                    out[n, i, j] = 0


def _reference(x: NDArray[Any], corner: NDArray[Any], *, size: tuple[int, int]) -> NDArray[Any]:
    out = np.zeros((*x.shape[:2], *size), x.dtype)
    for n, (top, left) in enumerate(corner):
        for i in range(size[0]):
            for j in range(size[1]):
                u, v = i + top, j + left
                if 0 <= u < x.shape[2] and 0 <= v < x.shape[3]:
                    out[n, :, i, j] = x[n, :, u, v]
    return out


def _spec(x: TensorSpec, corner: TensorSpec, *, size: Shape) -> TensorSpec:
    if corner.dtype != "int64":
        raise Mismatch("corners of int64", dtype=True)
    if x.ndim != 4 or corner.shape != (x.shape[0], 2):
        raise Mismatch("images (batch, channels, height, width), corners (batch, 2)")
    return x.with_shape((*x.shape[:2], *size))


def _vjp(node: Node, dy: Node) -> list[Node | None]:
    x, corner = node.inputs
    return [apply(WINDOW, [dy, -corner], {"size": x.spec.shape[2:]}), None]


def _example(shape: tuple[int, ...], reach: int, size: tuple[int, int]) -> Example:
    attrs: Mapping[str, Any] = {"size": size}
    return Example((Draw(shape), Draw((shape[0], 2), -reach, reach + 1, "int64")), attrs)


WINDOW = register(
    Op(
        name="window_at",
        spec=_spec,
        kernel=Rows(Body(_window), ("planes", "all", "planes")),
        reference=_reference,
        vjp=_vjp,
        jvp=linear,
        examples=(
            _example((5, 3, 4, 5), 3, (4, 5)),
            _example((3, 1, 6, 4), 2, (3, 2)),
            _example((2, 2, 2, 3), 4, (5, 7)),
            _example((4, 1, 3, 3), 9, (3, 3)),
        ),
        formula="y[i, j] = x[top + i, left + j], else 0",
        color=IMAGE,
    )
)


def window_at(x: Node, corner: Node, size: tuple[int, int], name: str | None = None) -> Node:
    """For each image the window of a size at its corner (row, column); 0 outside of the image."""
    return apply(WINDOW, [x, corner], {"size": size}, name=name)
