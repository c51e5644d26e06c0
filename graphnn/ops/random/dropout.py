"""Dropout of elements and of channels, and noise: random in training, the identity in inference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.context import declared_at
from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.hints import teaches
from graphnn.node import Constant, Node, NodeLike, apply, as_node
from graphnn.op import Draw, Example, Mismatch, Op, Rows, Scalar, register
from graphnn.ops.declare.tangents import added
from graphnn.ops.elementwise.choice import where
from graphnn.ops.random.generator import (
    RANDOM,
    generator,
    generator_spec,
    kept_mask,
    mulhilo,
    next_stream,
    words_of,
)
from graphnn.ops.training.phase import phase
from graphnn.source import Body
from graphnn.spec import FLOATS, Shape, TensorSpec, broadcast_shapes, format_shape
from graphnn.values import is_number

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "gaussian_noise"]


def _dropout_vjp(node: Node, dy: Node) -> list[Node | None]:
    x, mask, scale = node.inputs
    return [apply(DROPOUT, [dy, mask, scale]), None, apply(DROPOUT, [dy, mask, x])]


def _dropout_jvp(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    x, mask, scale = node.inputs
    dx, _, dscale = tangents
    parts = [] if dx is None else [apply(DROPOUT, [dx, mask, scale])]
    parts += [] if dscale is None else [apply(DROPOUT, [x, mask, dscale])]
    return added(parts)


def _dropout_spec(x: TensorSpec, mask: TensorSpec, scale: TensorSpec) -> TensorSpec:
    if x.dtype not in FLOATS or scale.dtype != x.dtype or mask.dtype != "bool":
        raise Mismatch("float values, a bool mask and a scale of the same dtype", dtype=True)
    if broadcast_shapes(x.shape, mask.shape) != x.shape:
        raise Mismatch("a mask of the shape of x, or of one that broadcasts to it")
    return x


def _dropped(x, mask, scale):  # type: ignore[no-untyped-def]
    return x * scale if mask else 0


DROPOUT = register(
    Op(
        name="dropout",
        spec=_dropout_spec,
        kernel=Scalar(Body(_dropped)),
        reference=lambda x, mask, scale: np.where(mask, x * scale, 0).astype(x.dtype),
        vjp=_dropout_vjp,
        jvp=_dropout_jvp,
        flops=lambda out, *_rest: out.size,
        examples=(
            Example((Draw((3, 5)), Draw((3, 5), dtype="bool"), Draw((), 1, 2))),
            Example((Draw((4, 2)), Draw((4, 2), dtype="bool"), Draw(()))),
            Example((Draw((4, 2, 3)), Draw((4, 2, 1), dtype="bool"), Draw(()))),
        ),
        inference=lambda _node, inputs: inputs[0],
        vanishes=(0,),
        formula="x mask / (1 - p)",
        color=RANDOM,
    )
)


@teaches
def dropout(x: NodeLike, p: float = 0.5, name: str | None = None) -> Node:
    """Set each element to 0 with probability ``p``, scale the others by 1 / (1 - p).

    Inverted dropout (Srivastava et al., JMLR 2014). In inference it is the identity.

    Parameters
    ----------
    x
        Any shape, float.
    p
        Probability of dropping, in [0, 1).

    Raises
    ------
    GraphError, DTypeError
        If ``p`` is out of range, or ``x`` is no float.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None,), name="x")
    >>> y = gn.dropout(x, p=0.5)
    >>> gn.function(x, y)([1, 2, 3])  # nothing is trained
    array([1., 2., 3.], dtype=float32)
    >>> dropped = gn.function(x, y, training=True)(np.ones(1000, np.float32))
    >>> sorted(set(dropped.tolist()))
    [0.0, 2.0]
    """
    node = as_node(x)
    return _dropped_by(node, node.spec.shape, checked_share("dropout", p), name)


@teaches
def dropout1d(x: NodeLike, p: float = 0.5, name: str | None = None) -> Node:
    """Dropout of whole channels of (batch, channels, length); in inference the identity.

    Neighbours along the length are alike, so that dropping single elements would drop little
    (Tompson et al., 2015).

    Raises
    ------
    GraphError, ShapeError, DTypeError
        If ``p`` is not in [0, 1), for another number of axes, and if ``x`` is no float.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.dropout1d(gn.Input((None, 8, 100)), p=0.2).shape
    (None, 8, 100)
    """
    return _of_channels("dropout1d", as_node(x), 3, "(batch, channels, length)", p, name)


@teaches
def dropout2d(x: NodeLike, p: float = 0.5, name: str | None = None) -> Node:
    """Dropout of whole channels of images (batch, channels, height, width).

    As :func:`dropout1d`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.dropout2d(gn.Input((None, 8, 28, 28)), p=0.2).shape
    (None, 8, 28, 28)
    """
    return _of_channels("dropout2d", as_node(x), 4, "(batch, channels, height, width)", p, name)


def _of_channels(what: str, node: Node, ndim: int, layout: str, p: float, name: str | None) -> Node:
    if node.ndim != ndim:
        raise ShapeError(
            f"{what} needs {layout}; got {format_shape(node.spec.shape)} for {node.name!r}. "
            f"Declared at {declared_at()}."
        )
    shape = (*node.spec.shape[:2], *[1] * (ndim - 2))
    return _dropped_by(node, shape, checked_share(what, p), name)


def checked_share(what: str, p: float) -> float:
    """A probability of dropping."""
    if not is_number(p) or not 0 <= p < 1:
        raise GraphError(f"{what} needs 0 <= p < 1; got p={p!r}. Declared at {declared_at()}.")
    return p


def _dropped_by(node: Node, shape: Shape, p: float, name: str | None) -> Node:
    if p == 0:
        return node
    scale = Constant(1 / (1 - p), dtype=node.dtype)
    return apply(DROPOUT, [node, kept_mask(shape, 1 - p), scale], name=name)


@teaches
def alpha_dropout(x: NodeLike, p: float = 0.5, name: str | None = None) -> Node:
    """Dropout that keeps mean 0 and variance 1, for SELU networks (Klambauer et al., 2017).

    Dropped elements become SELU's lower limit -λα, and the result is scaled and shifted back. In
    inference it is the identity.

    Raises
    ------
    GraphError, DTypeError
        If ``p`` is not in [0, 1), or ``x`` is no float.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.alpha_dropout(gn.selu(gn.Input((None, 64))), p=0.05).shape
    (None, 64)
    """
    node = as_node(x)
    if checked_share("alpha_dropout", p) == 0:
        return node
    low = -1.7580993408473766  # -λα
    scale = 1 / math.sqrt((1 - p) * (1 + p * low * low))
    kept = where(kept_mask(node.spec.shape, 1 - p), node, low)
    return phase(kept * scale - scale * p * low, node, name=name)


# Gaussian numbers: Box and Muller (1958), two words of Philox for two numbers.


def _normal_spec(rng: TensorSpec, *, shape: Shape, dtype: str, stream: int) -> TensorSpec:
    generator_spec(rng)
    if dtype not in FLOATS:
        raise Mismatch("float32 or float64", dtype=True)
    return TensorSpec(shape, dtype)


def _normal_flat(start, stop, rng, out, *, stream):  # type: ignore[no-untyped-def]
    # As dropout's mask: element e takes word (e % 64) // 16 of counter 16 (e // 64) + e % 16. The
    # words 0 and 1 make the numbers of the first two sixteenths, 2 and 3 those of the others.
    for block in range(start // 64, (stop + 63) // 64):
        for lane in range(16):
            c0 = (block * 16 + lane) & 0xFFFFFFFF
            c1 = ((block * 16 + lane) >> 32) & 0xFFFFFFFF
            c2 = rng[1] & 0xFFFFFFFF
            c3 = stream
            k0 = rng[0] & 0xFFFFFFFF
            k1 = (rng[0] >> 32) & 0xFFFFFFFF
            for _ in range(10):
                h0, l0 = mulhilo(0xD2511F53, c0)
                h1, l1 = mulhilo(0xCD9E8D57, c2)
                c0, c1, c2, c3 = h1 ^ c1 ^ k0, l1, h0 ^ c3 ^ k1, l0
                k0 = (k0 + 0x9E3779B9) & 0xFFFFFFFF
                k1 = (k1 + 0xBB67AE85) & 0xFFFFFFFF
            a, b = gaussians(c0, c1)
            c, d = gaussians(c2, c3)
            first = block * 64 + lane
            if start <= block * 64 and block * 64 + 64 <= stop:
                out[first] = a
                out[first + 16] = b
                out[first + 32] = c
                out[first + 48] = d
            else:
                if start <= first < stop:
                    out[first] = a
                if start <= first + 16 < stop:
                    out[first + 16] = b
                if start <= first + 32 < stop:
                    out[first + 32] = c
                if start <= first + 48 < stop:
                    out[first + 48] = d


def gaussians(u: int, v: int) -> tuple[float, float]:
    """Two independent Gaussian numbers from two random words."""
    # The middles of 2³² intervals: never 0, of which there is no logarithm.
    radius = math.sqrt(-2.0 * math.log((u + 0.5) * 2.3283064365386963e-10))
    angle = (v + 0.5) * 1.4629180792671596e-09  # 2π / 2³²
    return radius * math.cos(angle), radius * math.sin(angle)


def _normal_reference(
    rng: NDArray[Any], *, shape: tuple[int, ...], dtype: str, stream: int
) -> NDArray[Any]:
    size = int(np.prod(shape))
    words = words_of(rng, size, stream).astype(np.float64)
    place = np.arange(size) % 64 // 16
    pair = np.where(place < 2, 0, 2)[None]
    u, v = (np.take_along_axis(words, pair + i, 0)[0] + 0.5 for i in (0, 1))
    radius, angle = np.sqrt(-2 * np.log(u / 2**32)), 2 * np.pi * v / 2**32
    return np.asarray(radius * np.where(place % 2, np.sin(angle), np.cos(angle))).reshape(shape)


NORMAL = register(
    Op(
        name="random_normal",
        spec=_normal_spec,
        kernel=Rows(Body(_normal_flat), ("all", "flat")),
        reference=_normal_reference,
        flops=lambda out, *_rest, **_attrs: 40 * out.size,
        examples=tuple(
            Example(
                (Draw((2,), 0, 1 << 40, "int64"),), {"shape": shape, "dtype": dtype, "stream": 5}
            )
            for shape, dtype in (((7, 33), "float32"), ((128,), "float64"), ((3, 64, 5), "float32"))
        ),
        slack=3.0,
        formula="√(-2 ln u) (cos 2πv, sin 2πv)",
        color=RANDOM,
    )
)


@teaches
def gaussian_noise(x: NodeLike, std: float = 0.1, name: str | None = None) -> Node:
    """``x`` plus Gaussian noise of mean 0 in training; the identity in inference.

    Parameters
    ----------
    x
        Any shape, float.
    std
        Standard deviation of the noise, >= 0.

    Raises
    ------
    DTypeError, GraphError
        If ``x`` is no float, or ``std`` is negative or not finite.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Input((None,), name="x")
    >>> gn.function(x, gn.gaussian_noise(x, std=0.1))([1, 2, 3])  # nothing is trained
    array([1., 2., 3.], dtype=float32)
    """
    node = as_node(x)
    if node.dtype not in FLOATS:
        raise DTypeError(
            f"gaussian_noise needs float32 or float64; got {node.spec} for {node.name!r}. "
            f"Declared at {declared_at()}. Cast it: gn.cast(x, 'float32')."
        )
    if not is_number(std) or not 0 <= std < math.inf:
        raise GraphError(
            f"gaussian_noise needs a finite std >= 0; got std={std!r}. Declared at {declared_at()}."
        )
    if std == 0:
        return node
    attrs = {"shape": node.spec.shape, "dtype": node.dtype, "stream": next_stream()}
    noise = apply(NORMAL, [generator()], attrs)
    return phase(node + noise * float(std), node, name=name)
