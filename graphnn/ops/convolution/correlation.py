"""Convolution of signals and images, and its two gradients: three bilinear ops, closed together.

With x the input, w the weights and y the result, ``y = conv(x, w)`` is linear in each. The gradient
with respect to x is the transposed convolution ``conv_input(dy, w)``, the one with respect to w is
``conv_weight(x, dy)``, and the derivatives of these two are again the others (Dumoulin, Visin,
*A guide to convolution arithmetic for deep learning*, 2016, ch. 4).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.node import Node, apply
from graphnn.op import Convolution, Draw, Example, Mismatch, Op, register
from graphnn.ops.convolution.window import Pairs, as_number, result_sizes, rooms
from graphnn.ops.declare.tangents import bilinear
from graphnn.spec import FLOATS, Dim, DimLike, Shape, TensorSpec, product

__all__: list[str] = []

# Columns of at most this many bytes are laid out at once, and of at least so many pixels: BLAS is
# best at products that are wide. 32 -> 64 channels, 3x3, 28x28, forward on one core (Zen 5): 127
# GFLOP/s with 256 KiB (8 rows), 138 with 512 KiB, 147 with 1 MiB (the whole image), 146 with 2 MiB.
TILE_BYTES = 1 << 20
TILE_PIXELS = 256


def tile_of(w: TensorSpec, y: TensorSpec) -> tuple[int, int]:
    """Rows and columns of the result for which a kernel lays out columns at once.

    They are numbers even where the result's sizes are not known yet.
    """
    inner = as_number(product(w.shape[1:])) * w.itemsize
    pixels = max(TILE_BYTES // max(inner, 1), TILE_PIXELS)
    height, width = ((1, *y.shape[2:]) if y.ndim == 3 else y.shape[2:])[-2:]
    if isinstance(width, Dim) or width > pixels:
        return 1, pixels
    rows = max(pixels // max(width, 1), 1)
    return (rows if isinstance(height, Dim) else max(min(rows, height), 1)), max(width, 1)


def is_pointwise(kernel: Shape, stride: Sequence[int], padding: Pairs) -> bool:
    """Whether each column is a pixel as it lies there, so that nothing needs laying out."""
    return all(n == 1 for n in (*kernel, *stride)) and not any(n for side in padding for n in side)


def _scratch(w: TensorSpec, y: TensorSpec, stride: Sequence[int], padding: Pairs) -> DimLike:
    """Bytes for the columns of one tile."""
    if is_pointwise(w.shape[2:], stride, padding):
        return 0
    rows, columns = tile_of(w, y)
    return product(w.shape[1:]) * rows * columns * w.itemsize


# Shapes.


def _check(a: TensorSpec, b: TensorSpec, dims: int, second: str) -> None:
    if a.dtype != b.dtype or a.dtype not in FLOATS:
        raise Mismatch(
            "two values of one dtype, float32 or float64",
            "Cast one: gn.cast(x, 'float32').",
            dtype=True,
        )
    axes = ("length",) if dims == 1 else ("height", "width")
    if a.ndim != dims + 2:
        wanted = ", ".join(("batch", "channels", *axes))
        fix = "Add the missing one: gn.expand_dims(x, 1) for the channel, 0 for the batch."
        if dims == 2 and a.ndim == 2:
            fix = "Give rows their shape: gn.reshape(x, (-1, channels, height, width))."
        raise Mismatch(f"an input of {dims + 2} axes ({wanted})", fix if a.ndim < dims + 2 else "")
    if b.ndim != dims + 2:
        raise Mismatch(f"a {second} of {dims + 2} axes")


def _check_weight(w: TensorSpec, groups: int) -> None:
    if any(isinstance(dim, Dim) for dim in w.shape):
        raise Mismatch("a weight whose sizes are numbers")
    if 0 in w.shape[2:]:
        raise Mismatch("a kernel of at least one tap along each axis")
    if as_number(w.shape[0]) % groups:
        raise Mismatch(
            f"a number of output channels that groups={groups} divides: weight.shape[0] is "
            f"{w.shape[0]}"
        )


def _spec(dims: int, x: TensorSpec, w: TensorSpec, *, groups: int = 1, **window: Any) -> TensorSpec:
    _check(x, w, dims, "weight (out_channels, in_channels / groups, ...)")
    _check_weight(w, groups)
    if x.shape[1] != w.shape[1] * groups:
        fix = channels_first(x, as_number(w.shape[1]) * groups)
        raise Mismatch(_channels("weight.shape[1]", groups), fix or _weight_that_fits(x, w, groups))
    return x.with_shape((x.shape[0], w.shape[0], *result_sizes(x.shape[2:], w.shape[2:], **window)))


def channels_first(x: TensorSpec, channels: int) -> str:
    """How to bring the channels to axis 1 where they lie last, as in Keras and jax."""
    if x.ndim < 3 or x.shape[-1] != channels:
        return ""
    if x.ndim > 3 and x.shape[-1] == x.shape[-2]:  # a square image, more likely
        return ""
    order = (0, x.ndim - 1, *range(1, x.ndim - 1))
    return f"Channels come before the other axes: gn.transpose(x, {order})."


def _channels(place: str, groups: int) -> str:
    return f"x.shape[1] == {place}" + (f" * groups (groups={groups})" if groups > 1 else "")


def _weight_that_fits(x: TensorSpec, w: TensorSpec, groups: int) -> str:
    channels = x.shape[1]
    if isinstance(channels, Dim) or channels % groups:
        return f"{groups} groups cannot share {channels} channels."
    shape = ", ".join(map(str, (w.shape[0], channels // groups, *w.shape[2:])))
    return f"Did you mean a weight of shape ({shape})?"


def _input_spec(
    dims: int, dy: TensorSpec, w: TensorSpec, *, size: Shape, groups: int = 1, **window: Any
) -> TensorSpec:
    _check(dy, w, dims, "weight (in_channels, out_channels / groups, ...)")
    _check_weight(w, groups)
    if dy.shape[1] != w.shape[0]:
        raise Mismatch(
            "x.shape[1] == weight.shape[0]", f"Did you mean a weight with {dy.shape[1]} there?"
        )
    if any(isinstance(n, int) and n < 0 for n in size):
        raise Mismatch(
            f"a padding that leaves something of the result; its size would be {size}",
            "Use less padding.",
        )
    if result_sizes(size, w.shape[2:], **window) != dy.shape[2:]:
        raise Mismatch(f"an input of the size that a convolution of {size} has")
    return dy.with_shape((dy.shape[0], w.shape[1] * groups, *size))


def _weight_spec(
    dims: int, x: TensorSpec, dy: TensorSpec, *, kernel: Shape, groups: int = 1, **window: Any
) -> TensorSpec:
    _check(x, dy, dims, "cotangent (batch, out_channels, ...)")
    if isinstance(x.shape[1], Dim) or isinstance(dy.shape[1], Dim) or x.shape[0] != dy.shape[0]:
        raise Mismatch("one batch, and numbers of channels")
    if x.shape[1] % groups or dy.shape[1] % groups:
        raise Mismatch(f"numbers of channels that groups={groups} divides")
    if result_sizes(x.shape[2:], kernel, **window) != dy.shape[2:]:
        raise Mismatch("a cotangent of the size that the convolution has")
    return x.with_shape((dy.shape[1], x.shape[1] // groups, *kernel))


# The formula, in NumPy.


def _taps(
    padded: NDArray[Any],
    kernel: Sequence[int],
    sizes: Sequence[Any],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> Iterator[tuple[tuple[int, ...], NDArray[Any]]]:
    """For each tap of the kernel the pixels that it meets, as a view of (N, groups, C, ...)."""
    for tap in np.ndindex(*kernel):
        starts = [t * d for t, d in zip(tap, dilation, strict=True)]
        cut = tuple(
            slice(start, start + (n - 1) * s + 1, s) if n else slice(0, 0)
            for start, n, s in zip(starts, sizes, stride, strict=True)
        )
        yield tap, _at(padded, cut)


def _at(array: NDArray[Any], place: Sequence[Any]) -> Any:
    """The part of an array that indices of its last axes name."""
    return array[(..., *place)]


def _apart(x: NDArray[Any], groups: int, axis: int) -> NDArray[Any]:
    return x.reshape(*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])


def _padded(x: NDArray[Any], padding: Pairs) -> NDArray[Any]:
    # Less than none behind, as a transposed convolution may have it: pixels that nothing meets.
    return np.pad(x, ((0, 0), (0, 0), *((before, max(after, 0)) for before, after in padding)))


def _reference(
    x: NDArray[Any], w: NDArray[Any], *, stride: Any, padding: Any, dilation: Any, groups: int
) -> NDArray[Any]:
    kernel = w.shape[2:]
    sizes = result_sizes(x.shape[2:], kernel, stride, padding, dilation)
    grouped, weight = _apart(_padded(x, padding), groups, 1), _apart(w, groups, 0)
    y = np.zeros((x.shape[0], groups, w.shape[0] // groups, *sizes), x.dtype)
    for tap, met in _taps(grouped, kernel, sizes, stride, dilation):
        y += np.einsum("ngc...,goc->ngo...", met, _at(weight, tap))
    return y.reshape(x.shape[0], w.shape[0], *sizes)


def _input_reference(
    dy: NDArray[Any],
    w: NDArray[Any],
    *,
    size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> NDArray[Any]:
    channels = w.shape[1] * groups
    padded = _padded(np.zeros((dy.shape[0], channels, *size), dy.dtype), padding)
    grouped, weight = _apart(dy, groups, 1), _apart(w, groups, 0)
    for tap, met in _taps(_apart(padded, groups, 1), w.shape[2:], dy.shape[2:], stride, dilation):
        met += np.einsum("ngo...,goc->ngc...", grouped, _at(weight, tap))
    cut = tuple(slice(a, a + n) for (a, _), n in zip(padding, size, strict=True))
    return np.ascontiguousarray(_at(padded, cut))


def _weight_reference(
    x: NDArray[Any],
    dy: NDArray[Any],
    *,
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> NDArray[Any]:
    outputs, inputs = dy.shape[1] // groups, x.shape[1] // groups
    dw = np.zeros((groups, outputs, inputs, *kernel), x.dtype)
    pixels = math.prod(dy.shape[2:])
    grouped = dy.reshape(dy.shape[0], groups, outputs, pixels)
    for tap, met in _taps(
        _apart(_padded(x, padding), groups, 1), kernel, dy.shape[2:], stride, dilation
    ):
        flat = met.reshape(*met.shape[:3], pixels)
        _at(dw, tap)[...] = np.einsum("ngop,ngcp->goc", grouped, flat)
    return dw.reshape(groups * outputs, inputs, *kernel)


# The three ops, for signals and for images.


@dataclass(frozen=True)
class Family:
    """A convolution and its gradients with respect to the input and the weight."""

    forward: Op
    input: Op
    weight: Op


def _window(node: Node) -> dict[str, Any]:
    return {key: node.attrs[key] for key in ("stride", "padding", "dilation", "groups")}


def _correlated(x: Node, w: Node, window: dict[str, Any]) -> Node:
    return apply(FAMILIES[x.ndim - 2].forward, [x, w], window)


def _to_input(dy: Node, w: Node, size: Shape, window: dict[str, Any]) -> Node:
    return apply(FAMILIES[dy.ndim - 2].input, [dy, w], {"size": size, **window})


def _to_weight(x: Node, dy: Node, kernel: Shape, window: dict[str, Any]) -> Node:
    return apply(FAMILIES[x.ndim - 2].weight, [x, dy], {"kernel": kernel, **window})


def _vjp(node: Node, dy: Node) -> list[Node | None]:
    x, w = node.inputs
    window = _window(node)
    return [
        _to_input(dy, w, x.spec.shape[2:], window),
        _to_weight(x, dy, w.spec.shape[2:], window),
    ]


def _input_vjp(node: Node, v: Node) -> list[Node | None]:
    dy, w = node.inputs
    window = _window(node)
    return [_correlated(v, w, window), _to_weight(v, dy, w.spec.shape[2:], window)]


def _weight_vjp(node: Node, v: Node) -> list[Node | None]:
    x, dy = node.inputs
    window = _window(node)
    return [_to_input(dy, v, x.spec.shape[2:], window), _correlated(x, v, window)]


def _attrs(
    dims: int,
    stride: int = 1,
    padding: tuple[int, int] = (0, 0),
    dilation: int = 1,
    groups: int = 1,
    **sizes: Any,
) -> dict[str, Any]:
    window = {"stride": (stride,) * dims, "padding": (padding,) * dims}
    return {**sizes, **window, "dilation": (dilation,) * dims, "groups": groups}


def _examples(dims: int, kind: str) -> tuple[Example, ...]:
    """A few calls; the table of them is in the tests of convolution."""
    found = []
    for n, c, size, o, k, window in (
        (2, 2, 5, 3, 3, {"padding": (1, 1)}),
        (3, 4, 6, 4, 3, {"stride": 2, "padding": (0, 1), "groups": 2}),
        (2, 1, 7, 2, 2, {"dilation": 3, "padding": (2, 1)}),
        (2, 3, 4, 2, 1, {}),
    ):
        attrs = _attrs(dims, **window)
        x, w = (n, c, *(size,) * dims), (o, c // attrs["groups"], *(k,) * dims)
        given = {key: value for key, value in attrs.items() if key != "groups"}
        sizes = result_sizes(x[2:], w[2:], **given)
        y = (n, o, *map(as_number, sizes))
        shapes = {"forward": (x, w), "input": (y, w), "weight": (x, y)}[kind]
        if kind != "forward":
            attrs = {"size": x[2:], **attrs} if kind == "input" else {"kernel": w[2:], **attrs}
        found.append(Example(tuple(map(Draw, shapes)), attrs))
    return tuple(found)


def _family(dims: int) -> Family:
    name, color = f"conv{dims}d", "#bfdbfe"

    def taps(w: TensorSpec) -> DimLike:
        return 2 * product(w.shape[1:])

    def bound(rule: Any) -> Any:
        return lambda a, b, **attrs: rule(dims, a, b, **attrs)

    forward = Op(
        name=name,
        spec=bound(_spec),
        kernel=Convolution(
            "forward", lambda y, _x, w, *, stride, padding, **_: _scratch(w, y, stride, padding)
        ),
        reference=_reference,
        vjp=_vjp,
        jvp=bilinear,
        flops=lambda y, _x, w, **_: y.size * taps(w),
        fits=lambda x, w, *, padding, dilation, **_: rooms(
            x.shape[2:], w.shape[2:], padding, dilation
        ),
        examples=_examples(dims, "forward"),
        slack=10.0,
        formula="x ⋆ w",
        color=color,
    )
    to_input = Op(
        name=f"{name}_input",
        spec=bound(_input_spec),
        kernel=Convolution(
            "input", lambda _x, y, w, *, stride, padding, **_: _scratch(w, y, stride, padding)
        ),
        reference=_input_reference,
        vjp=_input_vjp,
        jvp=bilinear,
        flops=lambda _x, y, w, **_: y.size * taps(w),
        fits=lambda _y, w, *, size, padding, dilation, **_: [
            *size,
            *rooms(size, w.shape[2:], padding, dilation),
        ],
        examples=_examples(dims, "input"),
        slack=10.0,
        formula="∂(x ⋆ w)/∂xᵀ dy",
        color=color,
    )
    to_weight = Op(
        name=f"{name}_weight",
        spec=bound(_weight_spec),
        kernel=Convolution(
            "weight", lambda w, _x, y, *, stride, padding, **_: _scratch(w, y, stride, padding)
        ),
        reference=_weight_reference,
        vjp=_weight_vjp,
        jvp=bilinear,
        flops=lambda w, _x, y, **_: y.size * taps(w),
        examples=_examples(dims, "weight"),
        slack=10.0,
        formula="∂(x ⋆ w)/∂wᵀ dy",
        color=color,
    )
    return Family(register(forward), register(to_input), register(to_weight))


FAMILIES = {dims: _family(dims) for dims in (1, 2)}
